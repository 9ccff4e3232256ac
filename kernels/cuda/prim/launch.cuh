// Op::launch on a GPU.
#pragma once
#include <string>

#include "kernels/cuda/prim/op.h"

namespace sluice {

// Threads that a multiprocessor should hold: a thread has at most 128 registers.
constexpr int kResidentThreads = 512;

template <class K>
__global__ __launch_bounds__(K::kThreads,
                             ceil_div(kResidentThreads, K::kThreads)) void run(const __grid_constant__ K kernel) {
    kernel();
}

template <class K>
void Op::launch(const K& kernel, const LaunchShape& shape) const {
    if (!check(typeid(K), K::kThreads, shape)) return;
    cudaError_t error = cudaSuccess;
    if (shape.shared > kSharedWithoutOptIn)
        error = cudaFuncSetAttribute(run<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shape.shared));
    if (error == cudaSuccess) {
        const dim3 grid(unsigned(shape.grid.x), unsigned(shape.grid.y), unsigned(shape.grid.z));
        run<K><<<grid, K::kThreads, size_t(shape.shared), static_cast<cudaStream_t>(stream_.handle)>>>(kernel);
        error = cudaGetLastError();
    }
    queued(typeid(K), error);
}

}  // namespace sluice
