// Detects that something else uses the cores of a run: all steps should take the same time, so some of 50 ms and some
// of 400 ms are a sign of it.
#pragma once
#include <vector>

namespace sluice {

class StepTimes {
 public:
    // seconds: of one step. True once: when among the latest 32 the slow ones first take three times as long as the
    // fast ones.
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
