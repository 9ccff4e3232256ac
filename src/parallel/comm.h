// A communicator: a fixed group of ranks that act together. Every member calls the same methods in the same order.
// Reductions are sums in a fixed order: the same inputs on the same group give the same bits.
// solo (one rank), threads (ranks of one process) and mpi are implementations of equal rank.
// Errors: Failure(Exit::peer_lost) when a member is gone or does not answer within the time limit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace sluice {

class Comm {
 public:
    virtual ~Comm() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;

    // x (count) becomes the sum over ranks, on every rank.
    virtual void all_reduce(float* x, int64_t count) = 0;
    virtual void all_reduce(double* x, int64_t count) = 0;
    virtual void all_reduce(int64_t* x, int64_t count) = 0;
    // out (size() * bytes) receives each rank's in (bytes), in rank order.
    virtual void all_gather(void* out, const void* in, size_t bytes) = 0;
    virtual void broadcast(void* x, size_t bytes, int root) = 0;
    virtual void barrier() = 0;

    // Ends every rank of the group with the exit code, from any thread; for errors that only this rank knows of.
    [[noreturn]] virtual void abort(int code) = 0;

    // Bytes this rank has handed to collectives so far.
    int64_t bytes() const { return bytes_; }

 protected:
    int64_t bytes_ = 0;
};

// One rank: every collective is an identity copy.
std::unique_ptr<Comm> solo_comm();

// Runs body(comm) on `ranks` threads of this process and joins them. The first exception is thrown again after all
// ended; ranks that wait in a collective for one that failed throw Failure(Exit::peer_lost).
void run_threads(int ranks, const std::function<void(Comm&)>& body);

// Starts MPI where a launcher's environment says so (mpirun, srun), else solo. Call once, early, from the main thread.
// timeout_seconds: a collective that waits longer ends the run with Exit::peer_lost; changed by set_mpi_timeout.
std::unique_ptr<Comm> world_comm();
void set_mpi_timeout(double seconds);

// Ranks of this launch on this machine (1 without a launcher): what threads are divided by. Starts nothing.
int local_ranks();

}  // namespace sluice
