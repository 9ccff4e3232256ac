// The backends that a layer can be built for, as empty types: T is what tensors store, A what sums are kept in.
#pragma once
#include <cstdint>

namespace sluice {

template <class T_>
struct Cpu {
    using T = T_;
    using A = T_;
};

// Where an op is queued. A CPU runs it at once.
struct Stream {
    void* handle = nullptr;
};

}  // namespace sluice
