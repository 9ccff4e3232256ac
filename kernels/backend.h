// The backends that a layer can be built for, as empty types: T is what tensors store, A what sums are kept in, and
// kLogits how many logits the head computes at once.
#pragma once
#include <cstdint>

#include "base/bf16.h"

namespace sluice {

template <class T_>
struct Cpu {
    using T = T_;
    using A = T_;
    static constexpr int64_t kLogits = int64_t{1} << 24;  // 64 MiB in float
};

// Every backend of this build: a file that defines templates for them ends in SLUICE_BACKENDS(INSTANTIATE), and one of
// kernels/cpu in SLUICE_CPU_BACKENDS(INSTANTIATE).
#define SLUICE_CPU_BACKENDS(X) \
    X(Cpu<float>)              \
    X(Cpu<double>)
#define SLUICE_BACKENDS(X) SLUICE_CPU_BACKENDS(X)

// What is stored with train.precision fp32, and by a GPU with bf16, to plan memory with; the latter has no ops.
using PlannedFp32 = Cpu<float>;
struct PlannedBf16 {
    using T = bf16;
    using A = float;
    static constexpr int64_t kLogits = int64_t{1} << 30;  // 2 GiB, as each chunk reads all of the head
};

// What matrix products in fp32 round their operands to; sums stay in A. Products in double ignore it.
enum class MatmulPrecision { full, bf16 };

// Where an op is queued, and how it multiplies. A CPU runs it at once.
struct Stream {
    void* handle = nullptr;
    MatmulPrecision matmul = MatmulPrecision::full;
};

}  // namespace sluice
