// What the residual sum does to one number, for every backend: x + clamp(y, -limit, limit).
#pragma once
#include "base/host_device.h"

namespace sluice {

// An infinite limit is none. NaN passes through.
template <class A>
SLUICE_HD A residual_value(A x, A y, A limit) {
    return x + (y > limit ? limit : y < -limit ? -limit : y);
}
// dy, where the limit is finite. For a NaN both comparisons fail, and dout passes: it is not clipped away.
template <class A>
SLUICE_HD A residual_gradient(A dout, A y, A limit) {
    return y >= limit || y <= -limit ? A(0) : dout;
}

}  // namespace sluice
