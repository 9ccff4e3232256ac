// What runs on this thread of the host: one block of a kernel, of which one thread has its turn. The words of
// kernels/emu/device.h read it at every access; only the emulator writes it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>

namespace sluice::emu {

using Site = std::source_location;  // a place in a kernel

struct Position {
    int64_t x = 0, y = 0, z = 0;
};

struct Running {
    bool watched = false;  // accesses are checked or counted: see watch.h
    int thread = 0;        // whose turn it is
    int threads = 0;       // of a block
    Position block, grid;
    char* shared = nullptr;     // the block's shared memory: dynamic first, then static arrays
    int64_t dynamic_bytes = 0;  // of it
    uint32_t launch = 0;        // number of the launch
};

// Trivial and initialised at compile time, so that reading it is one instruction.
#if defined(__GNUC__)
[[gnu::tls_model("initial-exec")]]
#endif
inline constinit thread_local Running* running = nullptr;

// ---------------------------------------------------------------- what threads of a block do together
// Every thread of the block waits for the others.
void block_barrier(const Site&);

// 32 bytes that a lane gives to its warp.
struct Slot {
    uint64_t words[4] = {};
};
// All 32 lanes of the warp give one slot each, and get those of all; valid until the warp's next collective. `name`
// is the collective's, for errors.
const Slot* collect(const char* name, const Slot& mine, const Site&);
// The same without slots, and it orders accesses to shared memory.
void warp_barrier(const Site&);

// A static shared array of a place in a kernel, which every launch lays out anew.
struct SharedArray {
    uint32_t launch = 0;  // that `offset` belongs to
    int64_t offset = 0;   // bytes
};
char* shared_array(SharedArray&, int64_t bytes, const Site&);
char* dynamic_shared(int64_t offset, const Site&);

}  // namespace sluice::emu
