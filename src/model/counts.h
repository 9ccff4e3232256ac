// What a model costs, from its spec alone: parameters, and FLOPs a token (PaLM's model FLOPs: no recomputation).
#pragma once
#include <cstdint>

#include "config/specs.h"

namespace sluice {

struct TensorInfo;

struct ParameterCounts {
    int64_t total = 0, active = 0;  // active: all but experts not picked
    int64_t gates = 0;              // of total, what the gates added
};
ParameterCounts count_parameters(const ModelSpec& spec);

// The share of a tensor that one token uses: of experts those that are picked.
double used_share(const ModelSpec& spec, const TensorInfo& tensor);

// FLOPs of one token in sequences of `length`, forward and backward: 6 per matrix weight (the embedding look-up not),
// by where it is; and attention's products of tokens, causal at half the square (less with a window).
struct FlopsByPart {
    double attention_weights = 0, ffn_weights = 0, expert_weights = 0, other_weights = 0;
    double scores = 0;              // attention
    double scores_full_square = 0;  // the same at the full square of the length, window or not
    double weights() const { return attention_weights + ffn_weights + expert_weights + other_weights; }
    double total() const { return weights() + scores; }
    double total_full_square() const { return weights() + scores_full_square; }  // the other convention of MFU
};
FlopsByPart flops_by_part(const ModelSpec& spec, int64_t length);

double flops_per_token(const ModelSpec& spec, int64_t length);  // the parts' total

}  // namespace sluice
