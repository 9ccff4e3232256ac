// The learning rate of each step.
#pragma once
#include "config/specs.h"

namespace sluice {

// lr * s / warmup_steps up to s = warmup_steps; then down to final_lr at the last step, as a cosine, a straight line
// (linear) or over the last decay_steps (wsd), or constant. Where warm-up and wsd's decay overlap, the lower of both
// lines holds: no step's rate jumps. s from 1.
double learning_rate(const Config& config, int64_t step);

}  // namespace sluice
