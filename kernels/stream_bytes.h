// What an engine for GPUs allocates of a device beside the tensors.
#pragma once
#include <cstddef>

namespace sluice {

constexpr size_t kStreamScratch = size_t{32} << 20;  // bytes of a stream, for its ops
// Bytes of a stream, for products by a library: what cuBLASLt recommends for GPUs from sm_90 on. Another workspace is
// another choice of algorithms.
constexpr size_t kProductWorkspace = size_t{32} << 20;
// Bytes of a dozen allocations, each rounded to 2 MiB, of lists of spans, and of what is measured at the start.
constexpr size_t kSmallAllocations = size_t{32} << 20;

// All at most: a stream trains, and another one measures.
constexpr size_t kDeviceStreams = 2 * (kStreamScratch + kProductWorkspace) + kSmallAllocations;

}  // namespace sluice
