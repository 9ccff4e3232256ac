// What SwiGLU does to one pair of numbers, for every backend: h = silu(gate) up. A backend brings its own `logistic`.
#pragma once
#include "base/host_device.h"
#include "kernels/gate_math.h"

namespace sluice {

template <class A, class L>
SLUICE_HD A swiglu_value(A gate, A up, L logistic) {
    return ActivationMath<Activation::silu>::value(gate, logistic) * up;
}

template <class A>
struct SwigluGradient {
    A gate, up;
};
template <class A, class L>
SLUICE_HD SwigluGradient<A> swiglu_gradient(A dh, A gate, A up, L logistic) {
    using Silu = ActivationMath<Activation::silu>;
    return {dh * up * Silu::slope(gate, logistic), dh * Silu::value(gate, logistic)};
}

}  // namespace sluice
