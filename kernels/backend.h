// The backends that a layer can be built for, as empty types: T is what weights and activations are stored as, A what
// sums, masters and moments are kept in, G what gradients of parameters are; kLogits is how many logits the head
// computes at once, kSpan the longest span of a list that an op gets.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/bf16.h"

namespace sluice {

template <class T_>
struct Cpu {
    using T = T_;
    using A = T_;
    using G = T_;
    static constexpr int64_t kLogits = int64_t{1} << 24;  // 64 MiB in float
    static constexpr int64_t kSpan = INT64_MAX;
};

template <class T_>
struct Cuda {
    using T = T_;
    using A = float;
    using G = float;
    static constexpr int64_t kLogits = (int64_t{1} << 31) / sizeof(T_);  // 2 GiB, as each chunk reads all of the head
    static constexpr int64_t kSpan = 65536;                              // a block's work
};

// Every backend of this build: a file that defines templates for them ends in SLUICE_BACKENDS(INSTANTIATE), one of
// kernels/cpu in SLUICE_CPU_BACKENDS(INSTANTIATE), and one of kernels/cuda in SLUICE_CUDA_BACKENDS(INSTANTIATE).
#define SLUICE_CPU_BACKENDS(X) \
    X(Cpu<float>)              \
    X(Cpu<double>)
#define SLUICE_CUDA_BACKENDS(X) \
    X(Cuda<float>)              \
    X(Cuda<bf16>)
#define SLUICE_BACKENDS(X) SLUICE_CPU_BACKENDS(X)

// What is stored with train.precision fp32, and by a GPU with bf16, to plan memory with.
using PlannedFp32 = Cpu<float>;
using PlannedBf16 = Cuda<bf16>;

// What matrix products in fp32 round their operands to; sums stay in A. Products in double ignore it.
enum class MatmulPrecision { full, bf16 };

// Where an op is queued, how it multiplies, and memory that the ops of the stream use one after another. A CPU runs an
// op at once and needs no scratch.
struct Stream {
    void* handle = nullptr;
    MatmulPrecision matmul = MatmulPrecision::full;
    void* scratch = nullptr;
    size_t scratch_bytes = 0;
};

}  // namespace sluice
