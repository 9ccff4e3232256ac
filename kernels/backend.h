// The backends that a layer can be built for, as empty types: T is what tensors store, A what sums are kept in.
#pragma once
#include <cstdint>

#include "base/bf16.h"

namespace sluice {

// On a CPU, M is what products of matrices multiply, with sums in A: with bf16, operands are rounded to it on the way.
template <class T_, class M_ = T_>
struct Cpu {
    using T = T_;
    using A = T_;
    using M = M_;
};
using CpuBf16 = Cpu<float, bf16>;

// What a GPU stores with train.precision bf16, to plan its memory with; it has no ops.
struct PlannedBf16 {
    using T = uint16_t;
    using A = float;
};

// Where an op is queued. A CPU runs it at once.
struct Stream {
    void* handle = nullptr;
};

}  // namespace sluice
