// Runs kernels on this thread of the host, one block after another. A fiber runs one thread of the block after another
// until one has to wait; then another fiber goes on.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/emu/device_memory.h"
#include "kernels/emu/fiber.h"
#include "kernels/emu/launch.h"
#include "kernels/emu/running.h"
#include "kernels/emu/shared_races.h"
#include "kernels/emu/touch.h"
#include "kernels/emu/traffic.h"

namespace sluice::emu {

constexpr int kLanes = 32, kMostThreads = 1024, kMostWarps = kMostThreads / kLanes;
constexpr int64_t kSharedGap = 128;                   // bytes between shared arrays, which are aligned to as many
constexpr int64_t kSharedArena = int64_t{256} << 10;  // bytes, gaps included
constexpr int kPoison = 0xff;                         // of shared memory: NaN in every floating-point type

class Machine : public Running {
 public:
    static Machine& of_this_thread();
    // The machine whose kernel calls; a Failure outside of kernels.
    static Machine& at_work();

    // Runs all blocks. Errors: Failure(Exit::other) with op, shape, kernel, block, thread, what and where.
    void run(const Launch&);

    // Ends the launch: run() throws. Called on the stack of a kernel's thread. `where` is "file:line" or empty.
    [[noreturn]] void fault(const std::string& what, const std::string& where);

    void block_barrier(const Site&);
    const Slot* collect(const char* name, const Slot& mine, const Site&, bool orders_memory);
    char* shared_array(SharedArray&, int64_t bytes, const Site&);
    char* dynamic_shared(int64_t offset, const Site&);

    // For what watches accesses.
    uint32_t barriers() const { return barriers_; }  // passed so far; every block begins with one
    uint32_t first_barrier() const { return first_barrier_; }
    uint32_t warp_barriers(int thread) const { return warps_[size_t(thread / kLanes)].barriers; }
    // Whether the block has these bytes of shared memory.
    bool is_shared(int64_t offset, int64_t bytes) const {
        for (const Span& array : arrays_)
            if (offset >= array.begin && offset + bytes <= array.begin + array.bytes) return true;
        return false;
    }
    bool checks() const { return checks_; }
    const DeviceMemory& memory() const { return memory_; }
    Toucher& toucher() { return toucher_; }
    SharedRaces& races() { return races_; }
    Counter* counter() { return counter_.get(); }  // null: nothing is counted

 private:
    enum class State : uint8_t { absent, runs, at_block_barrier, in_collective, returned };
    struct Thread {
        State state = State::absent;
        Fiber* fiber = nullptr;
    };
    struct Warp {
        int arrived = 0, at_block_barrier = 0, returned = 0;  // lanes
        const char* name = nullptr;                           // of the collective that lanes wait in
        Site site;
        uint32_t barriers = 0;  // warp_barrier()s so far
        int turn = 0;           // which slots the next collective fills
        std::array<std::array<Slot, kLanes>, 2> slots;
    };
    struct Span {
        int64_t begin, bytes;
    };

    Machine();
    static void serve();  // what every fiber does
    void run_block();
    void prepare_order();
    void begin(int thread);
    void end();
    void wait(State);
    void wake(int thread);
    void leave();
    Fiber& next();
    std::string waiting() const;  // who waits where, for a deadlock
    void lane_missing(const Warp&, const std::string& does, const Site&);

    const Launch* launch_ = nullptr;
    std::string fault_;

    Fiber host_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    Fiber* fiber_ = nullptr;  // that runs now

    std::array<Thread, kMostThreads> threads_;
    std::array<Warp, kMostWarps> warps_;
    std::array<int, kMostThreads> order_{};  // in which threads begin
    int begun_ = 0, returned_ = 0, at_barrier_ = 0;
    Site barrier_site_;
    std::vector<int> ready_;  // threads that may go on, first come first served
    size_t ready_front_ = 0;
    uint64_t draws_ = 0;

    uint32_t barriers_ = 0, first_barrier_ = 0;
    alignas(kSharedGap) std::array<char, kSharedArena> shared_memory_;
    std::vector<Span> arrays_;  // of shared memory: dynamic first
    int64_t shared_bytes_ = 0;  // without the gaps between arrays
    int64_t shared_end_ = 0;

    bool checks_ = false;
    const DeviceMemory& memory_ = DeviceMemory::get();
    Toucher toucher_;
    SharedRaces races_;
    std::unique_ptr<Counter> counter_;
};

}  // namespace sluice::emu
