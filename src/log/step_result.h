// The result of a step, which the log writes and the loop acts on.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/spike_rule.h"
#include "log/layer_look.h"

namespace sluice {

struct Progress {
    int64_t step = 0, updates = 0;              // steps taken; steps applied (Adam's t)
    int64_t skipped = 0, skipped_in_a_row = 0;  // steps that were not finite
    int64_t spikes = 0;                         // steps that the guard refused
    int64_t passed_over = 0;                    // samples that a step took before the run went back
    int64_t rewinds = 0, furthest = 0;          // how often it went back; from which step at most
};

// A step that the guard refused (base/spike_rule.h).
struct Spike {
    Level loss, grad_norm;  // of the steps before
    int64_t in_a_row;
};

// Statistics of the routers over all tokens of the step, as means over layers.
struct RoutingResult {
    double balance, z;  // losses without their coefficients; balance 1: even
    double load;        // picks of the busiest expert of any layer over the mean
    double entropy;     // of the router's probabilities, in nats
};

struct StepResult {
    double loss, grad_norm, lr;  // loss and gradient of the weights before the update
    bool applied;                // false: not finite, or refused by the guard, and no rank changed its weights
    int64_t stop_requests, saved_ranks;
    int64_t first_sample;                  // of this step; it has train.batch of them
    std::optional<Spike> spike;            // where the guard refused it
    std::optional<RoutingResult> routing;  // with experts
    std::vector<LayerLook> look;           // (layers), every probes.every steps
};

}  // namespace sluice
