// What a look at a pass adds up for a layer, in the backend's memory.
#pragma once
#include <limits>

#include "kernels/ops.h"

namespace sluice {

// Of this rank's tokens and heads. What all ranks of a tensor group have, its first adds.
struct LayerProbe {
    GateSums gates{0, 0, 0};
    AttentionSums attention{0, 0, 0};                             // of softmax attention
    double max_logit = -std::numeric_limits<double>::infinity();  // the largest scaled score
    double m_act = 0;                                             // the largest magnitude of the residual behind it
};

}  // namespace sluice
