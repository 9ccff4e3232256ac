// Whether a run has its cores to itself. Its steps are alike, so where they take now 50 ms and now 400 ms, something
// else uses the cores.
#pragma once
#include <vector>

namespace sluice {

class StepTimes {
 public:
    // Of a step alone. True once: when, of the latest 32, the slow ones first took three times as long as the fast
    // ones.
    bool add(double seconds);
    // An eighth of the latest 32 steps took at most `fast` seconds, an eighth at least `slow`.
    double fast() const { return fast_; }
    double slow() const { return slow_; }

 private:
    std::vector<double> latest_;
    double fast_ = 0, slow_ = 0;
    bool told_ = false;
};

}  // namespace sluice
