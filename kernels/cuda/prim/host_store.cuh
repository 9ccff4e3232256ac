// A store of a kernel that the host reads while the kernel's stream goes on.
#pragma once
#include <cstdint>

#include "kernels/cuda/prim/device.cuh"
#ifdef SLUICE_EMULATED
#include <atomic>
#endif

namespace sluice {

// to: pinned memory of the host.
#ifdef SLUICE_EMULATED
SLUICE_EMU_INLINE void store_for_host(int64_t* to, int64_t value) {
    if (emu::running->watched) emu::watch_host_write(to, sizeof value, alignof(int64_t));
    std::atomic_ref(*to).store(value);
}
#else
DEVICE inline void store_for_host(int64_t* to, int64_t value) {
    *static_cast<volatile int64_t*>(to) = value;
    __threadfence_system();
}
#endif

}  // namespace sluice
