// Ranks as processes under mpirun. A watchdog thread ends all ranks when a collective gets no answer in time: mpirun
// itself notices a killed rank, but not a stopped or stuck one.
#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <thread>

#include "base/check.h"
#include "parallel/comm.h"

namespace sluice {
namespace {

std::atomic<double> timeout_seconds{600};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void mpi_check(int result, const char* what) {
    if (result == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(result, text, &length);
    fail(Exit::peer_lost, std::string(what) + ": " + text);
}

class Watchdog {
 public:
    explicit Watchdog(int rank) : rank_(rank), thread_([this] { watch(); }) {}
    ~Watchdog() {
        ending_ = true;
        thread_.join();
    }
    void enter(const char* what) {
        what_ = what;
        since_ = now();
    }
    void leave() { since_ = 0; }

 private:
    void watch() {
        while (!ending_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            const double since = since_;
            if (since == 0 || now() - since < timeout_seconds) continue;
            char host[256] = "";
            gethostname(host, sizeof host - 1);
            std::fprintf(stderr, "error: rank %d on %s: no answer from a peer for %.0f s in %s; ending all ranks\n",
                         rank_, host, now() - since, what_.load());
            std::fflush(stderr);
            std::thread([] {  // should the abort itself hang
                std::this_thread::sleep_for(std::chrono::seconds(5));
                _exit(int(Exit::peer_lost));
            })
                .detach();
            MPI_Abort(MPI_COMM_WORLD, int(Exit::peer_lost));
        }
    }

    int rank_;
    std::atomic<double> since_{0};
    std::atomic<const char*> what_{""};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

template <class T>
MPI_Datatype type_of();
template <>
MPI_Datatype type_of<float>() {
    return MPI_FLOAT;
}
template <>
MPI_Datatype type_of<double>() {
    return MPI_DOUBLE;
}
template <>
MPI_Datatype type_of<int64_t>() {
    return MPI_INT64_T;
}

int world_rank() {
    int rank;
    mpi_check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    return rank;
}

class Mpi : public Comm {
 public:
    Mpi() : rank_(world_rank()), watchdog_(rank_) {
        mpi_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        mpi_check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    }
    ~Mpi() override {
        watchdog_.enter("MPI_Finalize");
        MPI_Finalize();
        watchdog_.leave();
    }
    int rank() const override { return rank_; }
    int size() const override { return size_; }
    void all_reduce(float* x, int64_t count) override { sum(x, count); }
    void all_reduce(double* x, int64_t count) override { sum(x, count); }
    void all_reduce(int64_t* x, int64_t count) override { sum(x, count); }
    void all_gather(void* out, const void* in, size_t bytes) override {
        check(bytes <= kMost, "an all_gather of more than 1 GiB a rank");
        watched("all_gather", bytes,
                [&] { return MPI_Allgather(in, int(bytes), MPI_BYTE, out, int(bytes), MPI_BYTE, MPI_COMM_WORLD); });
    }
    void broadcast(void* x, size_t bytes, int root) override {
        for (size_t at = 0; at < bytes; at += kMost)
            watched("broadcast", std::min(kMost, bytes - at), [&] {
                return MPI_Bcast(static_cast<char*>(x) + at, int(std::min(kMost, bytes - at)), MPI_BYTE, root,
                                 MPI_COMM_WORLD);
            });
    }
    void barrier() override {
        watched("barrier", 0, [] { return MPI_Barrier(MPI_COMM_WORLD); });
    }
    void abort(int code) override {
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, code);
        _exit(code);
    }

 private:
    static constexpr size_t kMost = size_t{1} << 30;  // MPI counts are ints

    template <class F>
    void watched(const char* what, size_t bytes, F call) {
        bytes_ += int64_t(bytes);
        watchdog_.enter(what);
        const int result = call();
        watchdog_.leave();
        mpi_check(result, what);
    }
    template <class T>
    void sum(T* x, int64_t count) {
        const int64_t most = int64_t(kMost / sizeof(T));
        for (int64_t at = 0; at < count; at += most) {
            const int64_t n = std::min(most, count - at);
            watched("all_reduce", size_t(n) * sizeof(T),
                    [&] { return MPI_Allreduce(MPI_IN_PLACE, x + at, int(n), type_of<T>(), MPI_SUM, MPI_COMM_WORLD); });
        }
    }

    int rank_ = 0, size_ = 1;
    Watchdog watchdog_;
};

}  // namespace

void set_mpi_timeout(double seconds) { timeout_seconds = seconds; }

std::unique_ptr<Comm> world_comm() {
    // A lone MPI_Init costs 0.4 s: only where a launcher waits for it.
    bool launched = false;
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) launched |= std::getenv(name) != nullptr;
    if (!launched) return solo_comm();
    int provided = 0;
    mpi_check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    return std::make_unique<Mpi>();
}

int local_ranks() {
    for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"})
        if (const char* value = std::getenv(name)) return std::max(1, std::atoi(value));
    return 1;
}

}  // namespace sluice
