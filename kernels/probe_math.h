// What probes do to one number, for every backend.
#pragma once
#include "base/host_device.h"

namespace sluice {

// NaN is larger than any number, and so is not lost.
template <class A>
SLUICE_HD A larger_of(A a, A b) {
    return a > b || a != a ? a : b;
}
template <class A>
SLUICE_HD A magnitude(A x) {
    return x < A(0) ? -x : x;
}

// The first key that the query of token t sees of its document, or -1 where a window hides the document's first one.
template <class Int>
SLUICE_HD Int first_seen(Int t, Int document, Int window) {
    return window > 0 && t - document >= window ? Int(-1) : document;
}

}  // namespace sluice
