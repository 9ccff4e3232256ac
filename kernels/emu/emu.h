// How the emulator runs kernels, for tests to set. Change it while nothing is queued. A program that loads the emulated
// engine sets device_bytes, taken_bytes and devices by SLUICE_EMU_DEVICE_BYTES, SLUICE_EMU_TAKEN_BYTES and
// SLUICE_EMU_DEVICES, variables of its environment.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sluice::emu {

enum class Order { forward, reverse, seeded };  // in which threads of a block, blocks of a grid and streams take turns
enum class Blocks {
    all,
    edges,  // the first and the last of each dimension of the grid: launches of real sizes, over memory that is hardly
            // used
    none,   // launches are checked against the limits of a GPU, and nothing runs
};

enum class Products {
    all,
    none,  // no algorithm for any
    fail,  // each that is queued
};

enum class Attention {
    all,
    none,    // the heuristics name no engine
    broken,  // no plan can be made: a part of the library is missing
    greedy,  // plans want more workspace than they need
    fail,    // each that is queued
};

// Sanitizers have handlers of their own for what the host may not touch.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SLUICE_TSAN)
constexpr bool kProtect = false;
#else
constexpr bool kProtect = true;
#endif

struct Options {
    Order order = Order::forward;
    uint64_t seed = 0;  // of Order::seeded
    Blocks blocks = Blocks::all;
    bool checks = true;    // bounds, alignment, what was never written, races: each access, three times slower
    bool traffic = false;  // count what moves: see traffic.h
    // The host cannot read device memory outside of launches and copies: a touch ends the program, with its place.
    bool protect = kProtect;
    size_t device_bytes = 0;  // of device memory; 0: as much as the host has
    size_t taken_bytes = 0;   // of these, what other programs have
    int devices = 1;          // to choose among, of one memory; ranks of a communicator share one if it is the only
    Products products = Products::all;  // of cuBLASLt's stand-in
    int fastest = -1;                   // its algorithm that takes the least time by far; -1: that depends on the shape
    Attention attention = Attention::all;  // of cuDNN's stand-in
    size_t pinned_bytes = 0;               // of pinned memory; 0: as much as the host has
    int nccl_version = 22809;              // that NCCL's stand-in says it is; 0: none is found
    bool nccl_checks = true;               // whether it refuses what would hang, or hangs
    bool nccl_connects = true;             // else nothing ever comes of a new communicator, or of its first collective
    double hang_seconds = 60;              // a wait for other threads that takes longer is an error
};
Options& options();

int64_t allocations();     // of device memory and of pinned memory, so far
int64_t graph_launches();  // so far
int64_t plans_run();       // of cuDNN's stand-in, so far

}  // namespace sluice::emu
