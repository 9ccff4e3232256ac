// The GEMM rate that MFU is relative to on a CPU: the best one measured so far. The cores may be busy during a
// measurement, so it is repeated, more and more rarely. The rate of whole steps is a lower bound of it.
#pragma once
#include <cstdint>
#include <functional>

namespace sluice {

class GemmRate {
 public:
    // measure(times): FLOP/s, the best of that many GEMMs. The constructor calls it.
    explicit GemmRate(std::function<double(int times)> measure);
    // At each logged line; reached: FLOP/s of its steps. Measures again at the 2nd, 4th, 8th ... line.
    void at_line(double reached);
    double best() const { return best_; }  // FLOP/s; it never falls

 private:
    std::function<double(int)> measure_;
    double best_;
    uint64_t lines_ = 0;
};

}  // namespace sluice
