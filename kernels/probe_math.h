// What probes do to one number, for every backend.
#pragma once
#include "base/host_device.h"
#include "base/larger_of.h"
#include "kernels/probes.h"

namespace sluice {

template <class A>
SLUICE_HD A magnitude(A x) {
    return x < A(0) ? -x : x;
}

// The bin of a gate's factor. What is no number is in the first.
template <class A>
SLUICE_HD int gate_bin(A g) {
    constexpr int kZero = int(-kGateLow / kGateBin + 0.5);  // the bin that begins at 0
    const A x = g * A(1 / kGateBin);
    if (!(x >= A(-kZero))) return 0;
    if (x >= A(kGateBins - kZero)) return kGateBins - 1;
    const int towards_zero = int(x);
    return kZero + towards_zero - (x < A(towards_zero) ? 1 : 0);
}

// under[i] += whether x is below threshold i, of those that kernels/probes.h names.
template <class A>
SLUICE_HD void count_small_gate(double (&under)[3], A g) {
    constexpr A a = A(kGateThresholds[0]), b = A(kGateThresholds[1]), c = A(kGateThresholds[2]);
    under[0] += g < a ? 1 : 0;
    under[1] += g < b ? 1 : 0;
    under[2] += g < c ? 1 : 0;
}
template <class A>
SLUICE_HD void count_small(double (&under)[2], A x) {
    constexpr A a = A(kSmallMagnitudes[0]), b = A(kSmallMagnitudes[1]);
    under[0] += x < a ? 1 : 0;
    under[1] += x < b ? 1 : 0;
}

// to += what another part of a pass adds up to.
SLUICE_HD inline void add(GateSums& to, const GateSums& part) {
    to.count += part.count;
    to.sum += part.sum;
    for (int i = 0; i < 3; i++) to.under[i] += part.under[i];
    for (int i = 0; i < kGateBins; i++) to.bins[i] += part.bins[i];
}
SLUICE_HD inline void add(AttentionSums& to, const AttentionSums& part) {
    to.count += part.count;
    to.first += part.first;
    to.entropy += part.entropy;
    to.largest = larger_of(to.largest, part.largest);
}
SLUICE_HD inline void add(MagnitudeSums& to, const MagnitudeSums& part) {
    to.count += part.count;
    to.sum += part.sum;
    for (int i = 0; i < 2; i++) to.under[i] += part.under[i];
    to.largest = larger_of(to.largest, part.largest);
}

// The first key that the query of token t sees of its document, or -1 where a window hides the document's first one.
template <class Int>
SLUICE_HD Int first_seen(Int t, Int document, Int window) {
    return window > 0 && t - document >= window ? Int(-1) : document;
}
// Whether the query of token t sees the key of token u.
template <class Int>
SLUICE_HD bool sees(Int t, Int u, Int document, Int window) {
    return u <= t && u >= document && (window <= 0 || t - u < window);
}

}  // namespace sluice
