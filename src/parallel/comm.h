// A communicator: a fixed group of ranks that act together. Every member calls the same methods in the same order.
// Reductions are sums in a fixed order: the same inputs on the same group give the same bits.
// Implementations: solo (one rank), threads (ranks of one process) and MPI, all of the host's memory; staged.h and
// nccl.h for a device's.
// Errors: Failure(Exit::peer_lost) when a member is gone or does not answer within the time limit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/number_type.h"

namespace sluice {

class Comm {
 public:
    virtual ~Comm() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;

    // A new communicator of the ranks that give the same color, ordered by their ranks in this one.
    virtual std::unique_ptr<Comm> split(int color) = 0;

    // x (count) becomes the sum over ranks, on every rank.
    template <class T>
    void all_reduce(T* x, int64_t count) {
        count_bytes(count, sizeof(T));
        reduce(x, count, number_of<T>());
    }
    // in (sum of counts) is summed over ranks; out (counts[rank()]) receives this rank's slice of the sum. out must not
    // overlap in.
    template <class T>
    void reduce_scatter(T* out, const T* in, const int64_t* counts) {
        count_bytes(sum(counts), sizeof(T));
        scatter(out, in, counts, number_of<T>());
    }
    // out (sum of counts) receives each rank's in (counts[rank()]), in rank order; in may be its slice of out. T is any
    // type of 1, 2, 4 or 8 bytes.
    template <class T>
    void all_gather(T* out, const T* in, const int64_t* counts) {
        count_bytes(counts[rank()], sizeof(T));
        gather(out, in, counts, sizeof(T));
    }
    // The same with `count` elements from every rank.
    template <class T>
    void all_gather(T* out, const T* in, int64_t count) {
        count_bytes(count, sizeof(T));
        gather(out, in, count, sizeof(T));
    }
    // in holds in_counts[r] elements for each rank r; out receives out_counts[r] from each; both in rank order.
    template <class T>
    void all_to_all(T* out, const int64_t* out_counts, const T* in, const int64_t* in_counts) {
        count_bytes(sum(in_counts), sizeof(T));
        exchange(out, out_counts, in, in_counts, sizeof(T));
    }
    virtual void broadcast(void* x, size_t bytes, int root) = 0;
    virtual void barrier() = 0;

    // all_reduce and reduce_scatter that may run while this rank computes. No buffer may be read or written before
    // finish(), which completes all of them.
    template <class T>
    void start_all_reduce(T* x, int64_t count) {
        count_bytes(count, sizeof(T));
        start_reduce(x, count, number_of<T>());
    }
    template <class T>
    void start_reduce_scatter(T* out, const T* in, const int64_t* counts) {
        count_bytes(sum(counts), sizeof(T));
        start_scatter(out, in, counts, number_of<T>());
    }
    virtual void finish() {}
    // After a wait for a device that collectives are queued on: throws Failure(Exit::peer_lost) where they were ended,
    // since a rank is lost. What they left in memory is of no use.
    virtual void require() const {}

    // Calls start(), whose collectives, of all groups of the mesh, may be queued as one when it returns: either only
    // started ones, or only others. No buffer of theirs may be used before. Where the groups are not of a device that
    // is the same as calling it.
    template <class F>
    void together(F&& start) {
        begin_together();
        try {
            start();
        } catch (...) {
            forget_together();
            throw;
        }
        end_together();
    }

    // Whether its collectives only queue work on a device's stream, and never make the host wait: such work can be
    // captured, and launched again without a call of them (kernels/replay.h).
    virtual bool only_queues() const { return false; }

    // Ends every rank of the launch with the exit code; for errors that only this rank knows of. From any thread.
    [[noreturn]] virtual void abort(int code) = 0;
    // From any thread: this rank among all of the launch, with its host, "rank 1 on node7"; and which of all ranks do
    // not answer, "lost: rank 3 on node8", which may take seconds.
    virtual std::string name_in_launch() const { return "rank " + std::to_string(rank()); }
    virtual std::string who_is_lost() const { return "nobody else is there"; }

    // Bytes that this rank has handed to collectives so far, including those that it sends to itself; 0 in a group of
    // one rank.
    int64_t bytes() const { return bytes_; }

 protected:
    friend class StagedComm;
    friend class NcclComm;
    virtual void reduce(void* x, int64_t count, Number) = 0;
    virtual void scatter(void* out, const void* in, const int64_t* counts, Number) = 0;
    virtual void gather(void* out, const void* in, const int64_t* counts, size_t item) = 0;
    virtual void gather(void* out, const void* in, int64_t count, size_t item) = 0;
    virtual void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                          size_t item) = 0;
    virtual void start_reduce(void* x, int64_t count, Number type) { reduce(x, count, type); }
    virtual void start_scatter(void* out, const void* in, const int64_t* counts, Number type) {
        scatter(out, in, counts, type);
    }
    virtual void begin_together() {}
    virtual void end_together() {}
    virtual void forget_together() noexcept {}
    void count_bytes(int64_t count, size_t item) {
        if (size() > 1) bytes_ += count * int64_t(item);
    }
    int64_t sum(const int64_t* counts) const {
        int64_t total = 0;
        for (int r = 0; r < size(); r++) total += counts[r];
        return total;
    }
    int64_t bytes_ = 0;
};

// One rank: every collective is an identity copy.
std::unique_ptr<Comm> solo_comm();

// Runs body(comm) on `ranks` threads of this process and joins them. Ranks that wait in a collective for one that
// failed throw Failure(Exit::peer_lost). The first exception is thrown again once all have ended.
void run_threads(int ranks, const std::function<void(Comm&)>& body);

// All ranks of the launch. Starts MPI where a launcher (mpirun, srun) started this process, else returns solo_comm().
// Call once, early, from the main thread.
std::unique_ptr<Comm> world_comm();
// A collective that waits longer ends the run with Exit::peer_lost.
void set_mpi_timeout(double seconds);

// Ranks of this launch on this machine, which share its cores; 1 without a launcher. Does not start MPI.
int local_ranks();
// From the launcher's environment, before MPI has started: the number of ranks (0: unknown), and this process's rank.
int launched_ranks();
int launched_rank();

}  // namespace sluice
