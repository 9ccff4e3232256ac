// Collectives between the devices of ranks by NCCL, of which parallel/nccl.h makes the groups of a mesh. NCCL is loaded
// at run time, where there is more than one rank. Everything is queued in a stream's order, on all ranks in one order,
// and can be captured into a graph; the host waits for NCCL alone, while it connects.
// Errors: Failure(Exit::other) with what NCCL says; Failure(Exit::peer_lost) where that is of another rank, where NCCL
// does not answer within the time limit, and once abort() was called.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/number_type.h"
#include "kernels/backend.h"

namespace sluice {

constexpr int kLeastNccl = 21800;            // 2.18.0: communicators that are made without blocking
std::string nccl_version_text(int version);  // 22809: "2.28.9"

using NcclId = std::array<char, 128>;

// A collective that a rank is in.
struct NcclWork {
    const char *group = "", *what = "";  // "data", "all_reduce"
    int64_t number = 0, step = 0;        // which of this rank's collectives, counted from 1; the step of the run
    double seconds = 0;                  // since it was first found there
};

// Where a collective is queued, and what it is told as. aside: on a stream of NCCL's own, after what `stream` holds by
// then, and beside what `stream` is given later.
struct NcclPlace {
    int comm = 0;
    Stream stream;
    bool aside = false;
    const char* what = "";
    int64_t step = 0;
};

// The communicators of one rank, each known by its number. One thread calls; from others only enter_thread(), error(),
// current() and abort().
class Nccl {
 public:
    virtual ~Nccl() = default;  // after close() or abort()

    // ---- communicators
    virtual NcclId new_id() = 0;
    // Begins to make a communicator of the ranks that give the same id. group: its name, which must outlive this.
    virtual int open(const char* group, int ranks, int rank, const NcclId& id) = 0;
    virtual bool opened(int comm) = 0;

    // ---- collectives, as Comm has them (parallel/comm.h); counts: of each rank; sums of bf16 are rounded on the way
    virtual void all_reduce(const NcclPlace&, void* x, int64_t count, Number) = 0;
    virtual void reduce_scatter(const NcclPlace&, void* out, const void* in, const int64_t* counts, Number) = 0;
    virtual void all_gather(const NcclPlace&, void* out, const void* in, const int64_t* counts, size_t item) = 0;
    virtual void all_to_all(const NcclPlace&, void* out, const int64_t* out_counts, const void* in,
                            const int64_t* in_counts, size_t item) = 0;
    virtual void broadcast(const NcclPlace&, void* x, size_t bytes, int root) = 0;

    // What is called between begin() and end() is queued at end(), as one: all of it aside, or nothing.
    virtual void begin() = 0;
    virtual void end() = 0;
    virtual void forget() noexcept = 0;  // instead of end(), after an error

    // What the place's stream is given from now on comes after all that was queued aside.
    virtual void join(const NcclPlace&) = 0;

    // ---- watching
    virtual void enter_thread() = 0;  // before what follows, on another thread
    virtual std::string error() = 0;  // that NCCL tells of a communicator's work, with the group's name; or empty
    virtual std::optional<NcclWork> current() = 0;  // the oldest that has begun and is not done
    // Ends all communicators: what they have queued ends with whatever its buffers hold, and calls throw.
    virtual void abort() noexcept = 0;
    // Collective. Ends them in order, or after so many seconds as abort() does.
    virtual void close(double seconds) noexcept = 0;
};

// Why this process cannot use NCCL, and what to do; or empty. Loads it, once. one_process: all ranks are threads of
// this process.
template <class B>
std::string nccl_lacks(bool one_process);

// For the device of this thread. timeout: seconds within which NCCL must answer.
template <class B>
std::unique_ptr<Nccl> open_nccl(double timeout);

}  // namespace sluice
