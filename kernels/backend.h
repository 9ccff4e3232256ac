// The backends that a layer can be built for, as empty types: T is what weights and activations are stored as, A what
// sums, masters and moments are kept in, G what gradients of parameters are; kLogits is how many logits the head
// computes at once, kBatches how many batches are on their way to the device beside the one that it computes, kSpan the
// longest span of a list that an op gets, kMostExperts and kMostSwitchExperts how many of a layer ops can tell apart,
// kStorage how plans call all this.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/bf16.h"

namespace sluice {

// What the bytes of a run depend on, beside its config.
enum class Storage { cpu, gpu_fp32, gpu_bf16 };

template <class T_>
struct Cpu {
    using T = T_;
    using A = T_;
    using G = T_;
    static constexpr int64_t kLogits = int64_t{1} << 24;  // 64 MiB in float
    static constexpr int64_t kBatches = 0;
    static constexpr int64_t kSpan = INT64_MAX;
    static constexpr int64_t kMostExperts = INT64_MAX, kMostSwitchExperts = INT64_MAX;
    static constexpr Storage kStorage = Storage::cpu;
};

template <class T_>
struct Cuda {
    using T = T_;
    using A = float;
    using G = float;
    static constexpr int64_t kLogits = (int64_t{1} << 31) / sizeof(T_);  // 2 GiB, as each chunk reads all of the head
    static constexpr int64_t kBatches = 2;
    static constexpr int64_t kSpan = 65536;                                  // a block's work
    static constexpr int64_t kMostExperts = 512, kMostSwitchExperts = 2048;  // a block's shared memory has to do
    static constexpr Storage kStorage = sizeof(T_) == 2 ? Storage::gpu_bf16 : Storage::gpu_fp32;
};

// What a run stores, to plan its memory and to count its costs: it computes nothing.
template <class B>
struct Planned {
    using T = typename B::T;
    using A = float;
    using G = float;
    static constexpr int64_t kLogits = B::kLogits, kBatches = B::kBatches;
};
using PlannedFp32 = Planned<Cpu<float>>;
using PlannedGpuFp32 = Planned<Cuda<float>>;
using PlannedBf16 = Planned<Cuda<bf16>>;

// A file that defines templates for backends ends in SLUICE_BACKENDS(INSTANTIATE), one of kernels/cpu in
// SLUICE_CPU_BACKENDS(INSTANTIATE), one of kernels/cuda in SLUICE_CUDA_BACKENDS(INSTANTIATE). What depends on the
// backend is compiled once for each engine (CMakeLists.txt), with that engine's backends. Where it states costs and
// sizes, these are instantiated by SLUICE_PLANNED in what all engines share.
#define SLUICE_CPU_BACKENDS(X) \
    X(Cpu<float>)              \
    X(Cpu<double>)
#define SLUICE_CUDA_BACKENDS(X) \
    X(Cuda<float>)              \
    X(Cuda<bf16>)
#if defined(SLUICE_CUDA_ENGINE)
#define SLUICE_BACKENDS(X) SLUICE_CUDA_BACKENDS(X)
#define SLUICE_PLANNED(X)
#elif defined(SLUICE_CPU_ENGINE)
#define SLUICE_BACKENDS(X) SLUICE_CPU_BACKENDS(X)
#define SLUICE_PLANNED(X)
#else
#define SLUICE_BACKENDS(X)
#define SLUICE_PLANNED(X) \
    X(PlannedFp32)        \
    X(PlannedGpuFp32)     \
    X(PlannedBf16)
#endif

// What matrix products in fp32 round their operands to; sums stay in A. Products in double ignore it.
enum class MatmulPrecision { full, bf16 };

// Where an op is queued, how it multiplies, and memory that the ops of the stream use one after another. A CPU runs an
// op at once and needs no scratch.
struct Stream {
    void* handle = nullptr;
    MatmulPrecision matmul = MatmulPrecision::full;
    void* scratch = nullptr;
    size_t scratch_bytes = 0;
    void* products = nullptr;   // what a library that multiplies keeps of the stream
    void* attention = nullptr;  // what a library that makes attention does
};

}  // namespace sluice
