// Sums and maxima over the lanes of a warp and the threads of a block, in an order that never changes.
#pragma once
#include "base/larger_of.h"
#include "kernels/cuda/prim/device.cuh"

namespace sluice {

struct Plus {
    template <class T>
    DEVICE T operator()(T a, T b) const {
        return a + b;
    }
};
struct Larger {
    template <class T>
    DEVICE T operator()(T a, T b) const {
        return larger_of(a, b);
    }
};

// Every lane gets the result.
template <class T, class Join>
DEVICE T warp_reduce(T v, Join join) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) v = join(v, shuffle_xor(v, mask));
    return v;
}
template <class T>
DEVICE T warp_sum(T v) {
    return warp_reduce(v, Plus{});
}
template <class T>
DEVICE T warp_max(T v) {
    return warp_reduce(v, Larger{});
}

// Every thread of a block of kThreads gets the result. All threads call it; barriers before and after let it be called
// twice in a row.
template <int kThreads, class T, class Join>
DEVICE T block_reduce(T v, Join join) {
    SHARED(T, of_warps, kThreads / kWarp);
    v = warp_reduce(v, join);
    block_barrier();
    if (lane() == 0) of_warps[warp()] = v;
    block_barrier();
    T all = of_warps[0];
    for (int w = 1; w < kThreads / kWarp; w++) all = join(all, T(of_warps[w]));
    return all;
}
template <int kThreads, class T>
DEVICE T block_sum(T v) {
    return block_reduce<kThreads>(v, Plus{});
}
template <int kThreads, class T>
DEVICE T block_max(T v) {
    return block_reduce<kThreads>(v, Larger{});
}

}  // namespace sluice
