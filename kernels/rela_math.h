// What ReLA's norm does to one number, for every backend: y = w z rstd s. s = sigmoid(u z), or 1 without a gate.
#pragma once
#include "base/host_device.h"
#include "kernels/gate_math.h"

namespace sluice {

template <class A>
SLUICE_HD A rela_value(A z, A rstd, A w, A s) {
    return w * z * rstd * s;
}

// Gradients of z, w and u. pull = rstd^2 mean(g z), where g = dy w s, and the mean is over the row. rela_dot is what a
// number adds to the sum of g z.
template <class A>
SLUICE_HD A rela_dot(A dy, A z, A w, A s) {
    return dy * w * s * z;
}
template <class A>
SLUICE_HD A rela_pull(A rstd, A dot, A width) {
    return rstd * rstd * (dot / width);
}
template <class A>
struct RelaGradient {
    A z, w, u;
};
template <class A>
SLUICE_HD RelaGradient<A> rela_gradient(A dy, A z, A rstd, A pull, A w, A s) {
    return {rstd * (dy * w * s - z * pull), dy * z * rstd * s, A(0)};
}
// With a gate, z's gradient has a second part, through s.
template <class A>
SLUICE_HD RelaGradient<A> gated_rela_gradient(A dy, A z, A rstd, A pull, A w, A u, A s) {
    const RelaGradient<A> plain = rela_gradient(dy, z, rstd, pull, w, s);
    const A slope = sigmoid_slope(s, dy * w * z * rstd);  // of u z
    return {plain.z + slope * u, plain.w, slope * z};
}

}  // namespace sluice
