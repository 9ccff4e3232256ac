// Ranks as processes under mpirun. A watchdog thread ends all ranks when a collective takes longer than the timeout:
// mpirun itself notices a killed rank, but not a stopped or stuck one, nor an unreachable host.
#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/format.h"
#include "base/machine.h"
#include "cli/terminal.h"
#include "parallel/comm.h"
#include "parallel/liveness.h"

namespace sluice {
namespace {

std::atomic<double> timeout_seconds{600};

void mpi_check(int result, const char* what) {
    if (result == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(result, text, &length);
    fail(Exit::peer_lost, std::string(what) + ": " + text);
}

[[noreturn]] void end_launch(int code) {
    std::thread([code] {  // in case MPI_Abort itself hangs
        std::this_thread::sleep_for(std::chrono::seconds(5));
        _exit(code);
    })
        .detach();
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

// Watches the collective that the main thread is in, from enter() to leave().
class Watchdog {
 public:
    Watchdog(int rank, const LivenessProbe& liveness)
        : rank_(rank), liveness_(liveness), thread_([this] { watch(); }) {}
    ~Watchdog() {
        ending_ = true;
        thread_.join();
    }
    void enter(const char* what) {
        what_ = what;
        since_ = steady_seconds();
    }
    void leave() { since_ = 0; }

 private:
    void watch() {
        while (!ending_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            const double since = since_;
            if (since == 0 || steady_seconds() - since < timeout_seconds) continue;
            const std::string waited = what_.load();
            const double seconds = steady_seconds() - since;
            const std::string lost = liveness_.who_is_lost(rank_);
            if (since_ != since) continue;  // the collective ended after all
            print_error(fmt::format("rank {} on {}: no answer for {:.0f} s in {}; {}; ending all ranks", rank_,
                                    liveness_.host(rank_), seconds, waited, lost));
            end_launch(int(Exit::peer_lost));
        }
    }

    int rank_;
    const LivenessProbe& liveness_;
    std::atomic<double> since_{0};  // steady_seconds() at enter(); 0: in no collective
    std::atomic<const char*> what_{""};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

// Ends this rank where MPI does not start in time: a rank that is lost or stopped before it has can be asked by nobody.
class StartLimit {
 public:
    StartLimit() : thread_([this, seconds = limit()] { watch(seconds); }) {}
    ~StartLimit() {
        {
            const std::lock_guard lock(mutex_);
            started_ = true;
        }
        event_.notify_all();
        thread_.join();
    }

 private:
    static double limit() {
        const char* const text = std::getenv("SLUICE_START_TIMEOUT");
        if (!text) return timeout_seconds;
        char* end = nullptr;
        const double seconds = std::strtod(text, &end);
        if (*end || !(seconds > 0) || !std::isfinite(seconds))
            fail(Exit::config, "SLUICE_START_TIMEOUT=" + std::string(text) + " is no number of seconds above 0");
        return seconds;
    }
    void watch(double seconds) {
        std::unique_lock lock(mutex_);
        if (event_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return started_; })) return;
        print_error(fmt::format(
            "rank {} on {}: MPI does not start within {} (SLUICE_START_TIMEOUT): a rank is lost or stopped; ending all "
            "ranks",
            launched_rank(), host_name(), format_seconds(seconds)));
        _exit(int(Exit::peer_lost));
    }

    std::mutex mutex_;
    std::condition_variable event_;
    bool started_ = false;
    std::thread thread_;
};

MPI_Datatype type_of(Number type) {
    check(type != Number::bf16, "bf16 is not summed in the host's memory");
    return type == Number::f32 ? MPI_FLOAT : type == Number::f64 ? MPI_DOUBLE : MPI_INT64_T;
}
MPI_Datatype type_of(size_t item) {  // a type of so many bytes, to move and not to sum
    check(item == 1 || item == 2 || item == 4 || item == 8, "items of 1, 2, 4 or 8 bytes");
    return item == 1 ? MPI_BYTE : item == 2 ? MPI_UINT16_T : item == 4 ? MPI_FLOAT : MPI_DOUBLE;
}

// MPI counts and displacements are ints.
int to_int(int64_t count) {
    check(count <= INT_MAX, "a collective of more than 2^31 - 1 items");
    return int(count);
}
struct Counts {
    std::vector<int> counts, starts;  // in items, by rank; starts: first item of each rank
    void set(const int64_t* given, int ranks) {
        counts.resize(size_t(ranks));
        starts.resize(size_t(ranks));
        int64_t at = 0;
        for (int r = 0; r < ranks; at += given[r++]) {
            counts[size_t(r)] = to_int(given[r]);
            starts[size_t(r)] = to_int(at);
        }
    }
};

// MPI in this process: started by world_comm(), finalized when the last communicator is gone. All ranks exchange where
// they answer the liveness probe.
struct Session {
    explicit Session(int rank) : rank(rank), watchdog(rank, liveness) {
        int ranks = 1;
        mpi_check(MPI_Comm_size(MPI_COMM_WORLD, &ranks), "MPI_Comm_size");
        std::string mine = liveness.endpoint(), all(size_t(ranks) * LivenessProbe::kEndpoint, '\0');
        mine.resize(LivenessProbe::kEndpoint);
        const int bytes = int(LivenessProbe::kEndpoint);
        mpi_check(MPI_Allgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, MPI_COMM_WORLD),
                  "MPI_Allgather");
        std::vector<std::string> endpoints;
        for (int r = 0; r < ranks; r++) endpoints.emplace_back(all.c_str() + size_t(r) * LivenessProbe::kEndpoint);
        liveness.set_endpoints(endpoints);
    }
    ~Session() {
        watchdog.enter("MPI_Finalize");
        MPI_Finalize();
        watchdog.leave();
    }
    const int rank;  // in the launch
    LivenessProbe liveness;
    Watchdog watchdog;
};

class Mpi : public Comm {
 public:
    Mpi(std::shared_ptr<Session> session, MPI_Comm comm) : session_(std::move(session)), comm_(comm) {
        mpi_check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        mpi_check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
        mpi_check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
    }
    ~Mpi() override {
        if (comm_ != MPI_COMM_WORLD) MPI_Comm_free(&comm_);
    }
    int rank() const override { return rank_; }
    int size() const override { return size_; }
    std::unique_ptr<Comm> split(int color) override {
        MPI_Comm group;
        watched("split", [&] { return MPI_Comm_split(comm_, color, rank_, &group); });
        return std::make_unique<Mpi>(session_, group);
    }
    void broadcast(void* x, size_t bytes, int root) override {
        count_bytes(int64_t(bytes), 1);
        for (size_t at = 0; at < bytes; at += kMaxBytes)
            watched("broadcast", [&] {
                const int n = int(std::min(kMaxBytes, bytes - at));
                return MPI_Bcast(static_cast<char*>(x) + at, n, MPI_BYTE, root, comm_);
            });
    }
    void barrier() override {
        watched("barrier", [&] { return MPI_Barrier(comm_); });
    }
    void finish() override {
        if (pending_.empty()) return;
        watched("finish", [&] { return MPI_Waitall(int(pending_.size()), pending_.data(), MPI_STATUSES_IGNORE); });
        pending_.clear();
        in_flight_ = 0;
    }
    void abort(int code) override {
        std::fflush(nullptr);
        end_launch(code);
    }
    std::string name_in_launch() const override {
        return fmt::format("rank {} on {}", session_->rank, session_->liveness.host(session_->rank));
    }
    std::string who_is_lost() const override { return session_->liveness.who_is_lost(session_->rank); }

 private:
    static constexpr size_t kMaxBytes = size_t{1} << 30;  // of one MPI call, which counts with an int

    template <class F>
    void watched(const char* what, F call) {
        session_->watchdog.enter(what);
        const int result = call();
        session_->watchdog.leave();
        mpi_check(result, what);
    }
    // Runs call(pointer, count) for every slice of x (count) of at most kMaxBytes.
    template <class F>
    void sliced(void* x, int64_t count, Number type, F call) {
        const int64_t slice = int64_t(kMaxBytes / bytes_of(type));
        for (int64_t at = 0; at < count; at += slice)
            watched("all_reduce", [&] {
                return call(static_cast<char*>(x) + size_t(at) * bytes_of(type), int(std::min(slice, count - at)));
            });
    }

    void reduce(void* x, int64_t count, Number type) override {
        sliced(x, count, type, [&](void* slice, int n) {
            return MPI_Allreduce(MPI_IN_PLACE, slice, n, type_of(type), MPI_SUM, comm_);
        });
    }
    void start_reduce(void* x, int64_t count, Number type) override {
        sliced(x, count, type, [&](void* slice, int n) {
            return MPI_Iallreduce(MPI_IN_PLACE, slice, n, type_of(type), MPI_SUM, comm_,
                                  &pending_.emplace_back(MPI_REQUEST_NULL));
        });
    }
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        in_counts_.set(counts, size_);
        watched("reduce_scatter",
                [&] { return MPI_Reduce_scatter(in, out, in_counts_.counts.data(), type_of(type), MPI_SUM, comm_); });
    }
    void start_scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        if (in_flight_ == started_.size()) started_.emplace_back(std::make_unique<Counts>());
        Counts& kept = *started_[in_flight_++];  // MPI reads the counts until finish()
        kept.set(counts, size_);
        watched("reduce_scatter", [&] {
            return MPI_Ireduce_scatter(in, out, kept.counts.data(), type_of(type), MPI_SUM, comm_,
                                       &pending_.emplace_back(MPI_REQUEST_NULL));
        });
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        in_counts_.set(counts, size_);
        const bool in_place = in == static_cast<char*>(out) + size_t(in_counts_.starts[size_t(rank_)]) * item;
        watched("all_gather", [&] {
            return MPI_Allgatherv(in_place ? MPI_IN_PLACE : in, to_int(counts[rank_]), type_of(item), out,
                                  in_counts_.counts.data(), in_counts_.starts.data(), type_of(item), comm_);
        });
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override {
        watched("all_gather", [&] {
            return MPI_Allgather(in, to_int(count), type_of(item), out, to_int(count), type_of(item), comm_);
        });
    }
    void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                  size_t item) override {
        in_counts_.set(in_counts, size_);
        out_counts_.set(out_counts, size_);
        watched("all_to_all", [&] {
            return MPI_Alltoallv(in, in_counts_.counts.data(), in_counts_.starts.data(), type_of(item), out,
                                 out_counts_.counts.data(), out_counts_.starts.data(), type_of(item), comm_);
        });
    }

    std::shared_ptr<Session> session_;
    MPI_Comm comm_;
    int rank_ = 0, size_ = 1;
    Counts in_counts_, out_counts_;                 // of the current call: memory that every call uses
    std::vector<MPI_Request> pending_;              // collectives that were started and not finished
    std::vector<std::unique_ptr<Counts>> started_;  // the first in_flight_ belong to pending reduce_scatters
    size_t in_flight_ = 0;
};

}  // namespace

void set_mpi_timeout(double seconds) { timeout_seconds = seconds; }

// Without a launcher MPI is not started: MPI_Init takes 0.4 s.
static bool launched() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
        if (std::getenv(name)) return true;
    return false;
}

std::unique_ptr<Comm> world_comm() {
    if (!launched()) return solo_comm();
    const StartLimit limit;
    int provided = 0;
    mpi_check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    int rank = 0;
    mpi_check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    return std::make_unique<Mpi>(std::make_shared<Session>(rank), MPI_COMM_WORLD);
}

namespace {

int first_of(std::initializer_list<const char*> names, int otherwise) {
    for (const char* name : names)
        if (const char* value = std::getenv(name)) return std::atoi(value);
    return otherwise;
}

}  // namespace

int local_ranks() {
    return std::max(1, first_of({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"}, 1));
}

int launched_ranks() {
    if (!launched()) return 1;
    return std::max(0, first_of({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, 0));
}

int launched_rank() { return first_of({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}, 0); }

}  // namespace sluice
