// Stores of a kernel that the host reads while the kernel's stream goes on.
#pragma once
#include <cstdint>

#include "kernels/cuda/prim/device.cuh"
#ifdef SLUICE_EMULATED
#include <atomic>
#endif

namespace sluice {

// to: pinned memory of the host.
DEVICE inline void store_for_host(int64_t* to, int64_t value) {
#ifdef SLUICE_EMULATED
    std::atomic_ref(*to).store(value);
#else
    *static_cast<volatile int64_t*>(to) = value;
    __threadfence_system();
#endif
}

}  // namespace sluice
