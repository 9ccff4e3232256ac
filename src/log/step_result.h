// The result of a step, which the log writes and the loop acts on.
#pragma once
#include <cstdint>
#include <optional>

namespace sluice {

struct Progress {
    int64_t step = 0, updates = 0;  // steps taken; steps applied (Adam's t)
    int64_t skipped = 0, skipped_in_a_row = 0;
};

// Statistics of the routers over all tokens of the step, as means over layers.
struct RoutingResult {
    double balance, z;  // losses without their coefficients; balance 1: even
    double load;        // picks of the busiest expert of any layer over the mean
    double entropy;     // of the router's probabilities, in nats
};

struct StepResult {
    double loss, grad_norm, lr;  // loss and gradient of the weights before the update
    bool applied;                // false: loss or gradient was not finite, and no rank changed its weights
    int64_t stop_requests, saved_ranks;
    std::optional<RoutingResult> routing;  // with experts
};

}  // namespace sluice
