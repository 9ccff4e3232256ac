// What SwiGLU does to one pair of numbers, for every backend: h = weight silu(gate) up, with the weight of a routed
// expert, or 1. g = sigmoid(gate), which a backend computes once.
#pragma once
#include "base/host_device.h"
#include "kernels/gate_math.h"

namespace sluice {

template <class A>
SLUICE_HD A swiglu_value(A gate, A up, A g, A weight = A(1)) {
    return silu_value(gate, g, weight) * up;
}

// d = weight dh. The weight's own gradient is the sum of swiglu_value with dh in the weight's place.
template <class A>
struct SwigluGradient {
    A gate, up;
};
template <class A>
SLUICE_HD SwigluGradient<A> swiglu_gradient(A d, A gate, A up, A g) {
    return {silu_slope(gate, g, d * up), silu_value(gate, g, d)};
}

}  // namespace sluice
