// The values that a number of a config may take: printed by the reference, checked when a config is read.
#pragma once
#include <cstdint>
#include <limits>

namespace sluice {

struct Range {
    double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
    bool above_low = false, below_high = false;  // the bound itself is excluded

    bool holds(double value) const {
        return (above_low ? value > low : value >= low) && (below_high ? value < high : value <= high);
    }
};
constexpr Range from(double low, double high) { return {low, high}; }
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .above_low = true}; }
constexpr Range from_below(double low, double high) { return {.low = low, .high = high, .below_high = true}; }

// Far above any model, far below where products of three dimensions overflow 64 bits.
constexpr int64_t kMaxWidth = 1 << 20, kMaxLayers = 10000, kMaxVocab = INT32_MAX, kMaxExperts = 65536,
                  kMaxSequences = 1 << 30, kMaxRanks = 1 << 20, kMaxWindow = 1 << 16;
constexpr int64_t kMaxCount = int64_t{1} << 40;
constexpr Range kCount = from(0, double(kMaxCount)), kCountFromOne = from(1, double(kMaxCount));

}  // namespace sluice
