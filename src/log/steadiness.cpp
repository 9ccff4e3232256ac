#include "log/steadiness.h"

#include <algorithm>
#include <cstddef>

namespace sluice {
namespace {

constexpr size_t kLatest = 32, kEighth = kLatest / 8;  // a few slow steps are normal
constexpr double kWildly = 3;

}  // namespace

bool StepTimes::add(double seconds) {
    if (latest_.size() == kLatest) latest_.erase(latest_.begin());
    latest_.push_back(seconds);
    if (latest_.size() < kLatest || told_) return false;
    std::vector<double> sorted = latest_;
    std::sort(sorted.begin(), sorted.end());
    fast_ = sorted[kEighth - 1];
    slow_ = sorted[kLatest - kEighth];
    told_ = slow_ > kWildly * fast_;
    return told_;
}

}  // namespace sluice
