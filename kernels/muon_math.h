// The formulas of Muon, of one element, and the numbers of its Newton-Schulz steps.
#pragma once
#include "base/host_device.h"

namespace sluice {

// The polynomial a x + b x^3 + c x^5 takes singular values in (0, 1] to around 1 in five steps. An odd number of steps
// ends where the matrix came from. epsilon: added to the norm that the matrix is first divided by.
struct NewtonSchulz {
    static constexpr double a = 3.4445, b = -4.7750, c = 2.0315, epsilon = 1e-7;
    static constexpr int steps = 5;
    static_assert(steps % 2 == 1);
};

template <class A>
struct MuonMomentum {
    A b, u;
};
// b' = momentum b + scale g, and Nesterov's look ahead u = scale g + momentum b'.
template <class A>
SLUICE_HD MuonMomentum<A> muon_momentum_of(A b, A g, A momentum, A scale) {
    const A scaled = g * scale, next = momentum * b + scaled;
    return {next, scaled + momentum * next};
}

// w' = decay w - rate x, with decay = 1 - lr weight_decay and rate = lr scale.
template <class A>
SLUICE_HD A muon_updated(A w, A x, A decay, A rate) {
    return decay * w - rate * x;
}

}  // namespace sluice
