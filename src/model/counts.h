// What a model costs, from its spec alone: the sums of what its layers state. Parameters, and FLOPs per token (PaLM's
// model FLOPs, without recomputation).
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "config/specs.h"
#include "layers/cost.h"

namespace sluice {

// Costs of each block's two branches, and of the rest: embedding, final norm and head.
struct ModelCost {
    struct OfBlock {
        Cost attention, ffn;
    };
    std::vector<OfBlock> blocks;
    Cost rest;

    Cost total() const;
    // Calls visit(cost, recomputed) for every branch and for the rest. recomputed: its forward runs a second time,
    // before its backward. The last block is never recomputed: its activations are still in memory.
    void each(Recompute recompute, const std::function<void(const Cost&, bool recomputed)>& visit) const;
};
ModelCost model_cost(const ModelSpec& spec, const Workload& load, const MeshCoord& coord = {});

struct ParameterCounts {
    int64_t total = 0, active = 0;  // active: those that a token uses, with top_k experts of each layer
    int64_t gates = 0;              // those of gates, counted in total
};
ParameterCounts count_parameters(const ModelSpec& spec);

// FLOPs per token in sequences of `length`, forward and backward: 6 per weight of a matrix, without the embedding
// look-up, and attention's scores and weighted sums over the keys that a token attends to (about length / 2, fewer with
// a window).
double flops_per_token(const ModelSpec& spec, int64_t length);
// The same with attention over all `length` keys, window or not: the other convention of MFU.
double flops_per_token_full_square(const ModelSpec& spec, int64_t length);

}  // namespace sluice
