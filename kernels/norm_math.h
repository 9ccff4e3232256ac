// What RMSNorm and RoPE do to one number, for every backend; value and gradient side by side.
#pragma once
#include "base/host_device.h"

namespace sluice {

// y, where rstd is the row's and w the channel's.
template <class A>
SLUICE_HD A norm_value(A x, A rstd, A w) {
    return x * rstd * w;
}
// dx, where d = dy w, and pull = rstd^2 mean(d x), with the mean over the row.
template <class A>
SLUICE_HD A norm_gradient(A d, A x, A rstd, A pull) {
    return rstd * (d - x * pull);
}

// Two channels of a head that RoPE rotates by one angle; with -sin: back.
template <class A>
struct RopePair {
    A first, second;
};
template <class A>
SLUICE_HD RopePair<A> rotated(RopePair<A> x, A cos, A sin) {
    return {x.first * cos - x.second * sin, x.second * cos + x.first * sin};
}

}  // namespace sluice
