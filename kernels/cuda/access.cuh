// Rows of wider matrices in kernels, and how many elements an access takes: the launcher picks the widest that all
// pointers, widths and strides allow, and a kernel is compiled for it and for one element.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <type_traits>

#include "kernels/cuda/prim/device.cuh"
#include "kernels/ops.h"

namespace sluice {

template <class X>
struct DeviceRows {
    Global<X> data;
    int64_t stride;  // in elements
    DEVICE Global<X> row(int64_t i) const { return data + i * stride; }
};
template <class X>
DeviceRows<X> on_device(Rows<X> rows) {
    return {rows.data, rows.stride};
}

// How many elements of T an access may take that never crosses a multiple of any of `widths`.
template <class T, class... P>
int64_t vector_width_of(std::initializer_list<int64_t> widths, const P*... p) {
    int64_t n = vector_width<T>(0, p...);
    for (const int64_t width : widths) n = std::min(n, vector_width<T>(width));
    return n;
}

// Calls f with the width of an access as a compile-time number: wide() of f's parameter `wide`.
template <class T, class F>
void with_width(int64_t n, F f) {
    if (n == 1)
        f(std::integral_constant<int, 1>());
    else
        f(std::integral_constant<int, int(16 / sizeof(T))>());
}

// The smallest power of two that is not below count, at most a warp.
inline int lanes_for(int64_t count) {
    int lanes = 1;
    while (lanes < count && lanes < kWarp) lanes *= 2;
    return lanes;
}

// How threads lie over rows of pieces, one access each: a block takes `lanes` neighbouring pieces, a power of two, of
// as many rows as it has threads for, and `tiles` blocks lie side by side. Within a row 32 bits suffice, and are
// divided faster.
struct Layout {
    static constexpr int kThreads = 256;
    int lanes, tiles;

    explicit Layout(int64_t pieces) : lanes(lanes_for(pieces)), tiles(int(ceil_div(pieces, lanes))) {}
    Grid grid(int64_t rows) const { return {ceil_div(rows, kThreads / lanes) * tiles}; }

    // Of this thread; they may lie beyond the last.
    DEVICE int64_t row() const { return int64_t(int(block_x()) / tiles) * (kThreads / lanes) + thread() / lanes; }
    DEVICE int piece() const { return int(block_x()) % tiles * lanes + thread() % lanes; }
};

}  // namespace sluice
