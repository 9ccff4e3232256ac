// The words of kernels on a GPU. device.cuh says what each means.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/prim/vec.h"

#define DEVICE __device__

namespace sluice {

template <class T>
using Global = T*;
template <class T>
using Shared = T*;

constexpr int kWarp = 32;
constexpr uint32_t kAllLanes = 0xffffffffu;

DEVICE inline int thread() { return int(threadIdx.x); }
DEVICE inline int block_threads() { return int(blockDim.x); }
DEVICE inline int lane() { return thread() % kWarp; }
DEVICE inline int warp() { return thread() / kWarp; }
DEVICE inline int64_t block_x() { return blockIdx.x; }
DEVICE inline int64_t block_y() { return blockIdx.y; }
DEVICE inline int64_t block_z() { return blockIdx.z; }
DEVICE inline int64_t grid_x() { return gridDim.x; }

template <int N, class T>
DEVICE Vec<std::remove_const_t<T>, N> load(T* p) {
    using V = Vec<std::remove_const_t<T>, N>;
    static_assert(sizeof(V) <= 16);
    return *reinterpret_cast<const V*>(p);
}
template <int N, class T>
DEVICE void store(T* p, const Vec<T, N>& v) {
    static_assert(sizeof(v) <= 16);
    *reinterpret_cast<Vec<T, N>*>(p) = v;
}

#define SHARED(T, name, count) __shared__ alignas(16) T name[count]

template <class T>
DEVICE T* dynamic_shared(int64_t bytes) {
    extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory + bytes);
}

DEVICE inline void block_barrier() { __syncthreads(); }
DEVICE inline void warp_barrier() { __syncwarp(); }

template <class T>
DEVICE T shuffle_xor(T v, int mask) {
    return __shfl_xor_sync(kAllLanes, v, mask);
}
template <class T>
DEVICE T shuffle_down(T v, int n) {
    return __shfl_down_sync(kAllLanes, v, unsigned(n));
}
template <class T>
DEVICE T shuffle(T v, int from) {
    return __shfl_sync(kAllLanes, v, from);
}
DEVICE inline uint32_t ballot(bool vote) { return __ballot_sync(kAllLanes, vote); }

}  // namespace sluice
