// What a variant is given so that it has as many parameters, or takes as many FLOPs, as the baseline.
#pragma once
#include <cstdint>

#include "config/specs.h"

namespace sluice {

constexpr int64_t kWidthUnit = 8;  // widths are multiples of it

// The key of the width that decides a model's parameters: its FFN's, or its experts'.
const char* width_key(const ModelSpec& model);

// The width, a multiple of kWidthUnit, with which the model's total of parameters is the nearest to `parameters`; of
// two that are as near the narrower. 0: with the narrowest it still has more than that by over half a unit's worth.
int64_t matched_width(const ModelSpec& model, int64_t parameters);

// FLOPs of the whole training: those of a token times train.steps, train.batch and data.sequence_length.
double training_flops(const Config& config);

// The steps with which the training takes as nearly as can be so many FLOPs; at least 1.
int64_t matched_steps(const Config& config, double flops);

}  // namespace sluice
