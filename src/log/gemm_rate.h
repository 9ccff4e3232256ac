// What MFU is counted against on a CPU: the best rate of matrix products seen so far. One timing may fall into a second
// in which the cores are busy, so products are timed again now and then, ever more rarely; and what whole steps reach,
// products do at least.
#pragma once
#include <cstdint>
#include <functional>

namespace sluice {

class GemmRate {
 public:
    // measure(times): FLOP/s, the best of so many products. It is asked at once.
    explicit GemmRate(std::function<double(int times)> measure);
    // At a logged line, of steps that reached so many FLOP/s; times a product at the 2nd, 4th, 8th ... line.
    void at_line(double reached);
    double best() const { return best_; }  // FLOP/s; it never falls

 private:
    std::function<double(int)> measure_;
    double best_;
    uint64_t lines_ = 0;
};

}  // namespace sluice
