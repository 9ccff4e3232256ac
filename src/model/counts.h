// What a model has and takes, from its spec alone, as its layers state it: parameters, and FLOPs a token (PaLM's model
// FLOPs: no recomputation).
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "config/specs.h"
#include "layers/cost.h"

namespace sluice {

// What a model costs, by branch, and what is neither: embedding, final norm and head.
struct ModelCost {
    struct OfBlock {
        Cost attention, ffn;
    };
    std::vector<OfBlock> blocks;
    Cost rest;

    Cost total() const;
    // Calls visit(cost, again) for every branch and for the rest; `again`: its forward runs a second time, before its
    // backward. The last block's does not: its activations are still there.
    void each(Recompute recompute, const std::function<void(const Cost&, bool again)>& visit) const;
};
ModelCost model_cost(const ModelSpec& spec, const Workload& load, const MeshCoord& coord = {});

struct ParameterCounts {
    int64_t total = 0, active = 0;  // active: all but experts not picked
    int64_t gates = 0;              // of total, what the gates added
};
ParameterCounts count_parameters(const ModelSpec& spec);

// FLOPs of one token in sequences of `length`, forward and backward: 6 per matrix weight (the embedding look-up not),
// and attention's products of tokens, causal at half the square (less with a window).
double flops_per_token(const ModelSpec& spec, int64_t length);
// The same with attention at the full square of the length, window or not: the other convention of MFU.
double flops_per_token_full_square(const ModelSpec& spec, int64_t length);

}  // namespace sluice
