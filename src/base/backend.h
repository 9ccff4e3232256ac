// The backends that a layer can be built for, as empty types: T is what tensors store, A what sums are kept in.
#pragma once
#include <cstdint>

namespace sluice {

template <class T_>
struct Cpu {
    using T = T_;
    using A = T_;
};

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
