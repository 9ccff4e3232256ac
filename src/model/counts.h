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

// Forward and backward of one token in sequences of `length`: 6 per matrix weight (the embedding look-up not), and
// causal attention at half the square (less with a window).
double flops_per_token(const ModelSpec& spec, int64_t length);
// The same with attention at the full square of the length, window or not: the other convention of MFU.
double flops_per_token_full_square(const ModelSpec& spec, int64_t length);

}  // namespace sluice
