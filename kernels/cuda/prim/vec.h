// N elements that are loaded or stored as one access, and how wide an access may be. Host and device.
#pragma once
#include <cstdint>

#include "base/host_device.h"
#include "base/math.h"

namespace sluice {

template <class T, int N>
struct alignas(N * sizeof(T)) Vec {
    T at[N];
    SLUICE_HD T& operator[](int i) { return at[i]; }
    SLUICE_HD const T& operator[](int i) const { return at[i]; }
};

// How many elements of T one access may take where rows are `width` elements: 16 bytes' worth if that divides width
// and every pointer, null ones aside, is aligned to 16 bytes; else 1. A stride is a width too.
template <class T, class... P>
int64_t vector_width(int64_t width, const P*... p) {
    constexpr int64_t kWidest = 16 / int64_t(sizeof(T));
    const bool aligned = ((reinterpret_cast<uintptr_t>(p) % 16 == 0) && ...);
    return aligned && width % kWidest == 0 ? kWidest : 1;
}

}  // namespace sluice
