// The larger of two numbers, for host and device.
#pragma once
#include "base/host_device.h"

namespace sluice {

// NaN is larger than any number, and so is not lost.
template <class A>
SLUICE_HD A larger_of(A a, A b) {
    return a > b || a != a ? a : b;
}

}  // namespace sluice
