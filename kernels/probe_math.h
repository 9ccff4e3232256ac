// What probes do to one number, for every backend.
#pragma once
#include "base/larger_of.h"

namespace sluice {

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
