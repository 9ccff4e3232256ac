// The learning rate of each step.
#pragma once
#include "config/specs.h"

namespace sluice {

// Step s, from 1, has lr * s / warmup_steps up to s = warmup_steps. Then the rate stays (constant), or falls to
// final_lr at the last step: as a cosine, in a straight line (linear), or in a straight line over the last decay_steps
// (wsd). Where warm-up and wsd's decay overlap, the lower of both is used, so that the rate never jumps.
double learning_rate(const Config& config, int64_t step);

}  // namespace sluice
