// The learning rate of each step.
#pragma once
#include "config/specs.h"

namespace sluice {

// lr * s / warmup_steps up to s = warmup_steps; then cosine or wsd down to final_lr at the last step, or constant. s
// from 1.
double learning_rate(const Config& config, int64_t step);

}  // namespace sluice
