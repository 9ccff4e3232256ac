// What RMSNorm and RoPE do to one number, for every backend; value and gradient side by side.
#pragma once
#include "base/host_device.h"

namespace sluice {

// y, where rstd is the row's and w the channel's.
template <class A>
SLUICE_HD A norm_value(A x, A rstd, A w) {
    return x * rstd * w;
}
// dx = rstd (dy w - x pull), where pull = rstd^2 mean(dy w x), with the mean over the row. norm_dot is what a number
// adds to the sum of dy w x, and norm_weight_gradient to dw.
template <class A>
SLUICE_HD A norm_dot(A dy, A w, A x) {
    return dy * w * x;
}
template <class A>
SLUICE_HD A norm_pull(A rstd, A dot, A width) {
    return rstd * rstd * dot / width;
}
template <class A>
SLUICE_HD A norm_gradient(A dy, A w, A x, A rstd, A pull) {
    return rstd * (dy * w - x * pull);
}
template <class A>
SLUICE_HD A norm_weight_gradient(A dy, A x, A rstd) {
    return dy * x * rstd;
}

// Two channels of a head, half a head apart, that RoPE rotates by one angle; with -sin: back.
template <class A>
SLUICE_HD A rotated_first(A first, A second, A cos, A sin) {
    return first * cos - second * sin;
}
template <class A>
SLUICE_HD A rotated_second(A first, A second, A cos, A sin) {
    return second * cos + first * sin;
}

}  // namespace sluice
