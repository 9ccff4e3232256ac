// What the ranks sum over the whole mesh at the end of a step: one all-reduce of doubles, in the host's memory.
#pragma once
#include <cstdint>

namespace sluice {

struct StepSums {
    double loss = 0, stop_requests = 0, saved_ranks = 0;
    double gradient_squares = 0;
    double balance = 0, z = 0, entropy = 0;  // sums over the routers of all layers
};
// How many they are. With experts the tokens of each expert of each layer follow, (layers, experts).
inline constexpr int64_t kStepSums = sizeof(StepSums) / sizeof(double);

}  // namespace sluice
