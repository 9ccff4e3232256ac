#include "log/gemm_rate.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace sluice {

GemmRate::GemmRate(std::function<double(int)> measure) : measure_(std::move(measure)), best_(measure_(2)) {}

void GemmRate::at_line(double reached) {
    lines_++;
    if (lines_ > 1 && std::has_single_bit(lines_)) best_ = std::max(best_, measure_(1));
    best_ = std::max(best_, reached);
}

}  // namespace sluice
