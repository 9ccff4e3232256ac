// NCCL as kernels/nccl.h has it.
#include "kernels/nccl.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/format.h"
#include "kernels/cuda/nccl_library.h"
#include "kernels/cuda/nccl_progress.h"
#include "kernels/cuda/prim/host.h"

namespace sluice {
namespace {

constexpr auto kPoll = std::chrono::microseconds(200);
constexpr auto kLock = std::chrono::seconds(5);  // an abort waits so long for a call that does not return

ncclDataType_t type_of(Number type) {
    switch (type) {
        case Number::f32:
            return ncclFloat32;
        case Number::f64:
            return ncclFloat64;
        case Number::i64:
            return ncclInt64;
        case Number::bf16:
            break;
    }
    return ncclBfloat16;
}

bool failed(ncclResult_t result) { return result != ncclSuccess && result != ncclInProgress; }

const void* at(const void* p, int64_t bytes) { return static_cast<const char*>(p) + bytes; }
void* at(void* p, int64_t bytes) { return static_cast<char*>(p) + bytes; }

class CudaNccl final : public Nccl {
 public:
    explicit CudaNccl(double timeout) : timeout_(timeout), nccl_(nccl_library()) {
        cuda_done(cudaGetDevice(&device_), "NCCL: the device");
        cuda_done(cudaStreamCreateWithFlags(&aside_, cudaStreamNonBlocking), "NCCL: a stream");
        for (cudaEvent_t* event : {&forked_, &joined_})
            cuda_done(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "NCCL: an event");
    }
    ~CudaNccl() override {
        abort();
        for (cudaEvent_t event : {forked_, joined_}) cudaEventDestroy(event);
        cudaStreamDestroy(aside_);
    }

    NcclId new_id() override {
        ncclUniqueId id;
        nccl(call([&] { return nccl_.GetUniqueId(&id); }), nullptr, "a new communicator");
        NcclId bytes;
        static_assert(sizeof id == sizeof bytes);
        std::memcpy(bytes.data(), &id, sizeof id);
        return bytes;
    }
    int open(const char* group, int ranks, int rank, const NcclId& id) override;
    bool opened(int comm) override;

    void all_reduce(const NcclPlace&, void* x, int64_t count, Number) override;
    void reduce_scatter(const NcclPlace&, void* out, const void* in, const int64_t* counts, Number) override;
    void all_gather(const NcclPlace&, void* out, const void* in, const int64_t* counts, size_t item) override;
    void all_to_all(const NcclPlace&, void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                    size_t item) override;
    void broadcast(const NcclPlace&, void* x, size_t bytes, int root) override;

    void begin() override;
    void end() override;
    void forget() noexcept override;
    void join(const NcclPlace& place) override;

    void enter_thread() override { cuda_done(cudaSetDevice(device_), "NCCL: the device"); }
    std::string error() override;
    std::optional<NcclWork> current() override { return progress_.current(); }
    void abort() noexcept override;
    void close(double seconds) noexcept override;

 private:
    struct Communicator {
        const char* group;
        int ranks, rank;
        ncclComm_t comm;
    };

    // Calls NCCL, which another thread may be about to abort.
    template <class F>
    ncclResult_t call(F f) {
        const std::lock_guard lock(mutex_);
        if (aborted_) fail(Exit::peer_lost, "NCCL was ended, since a rank is lost");
        return f();
    }
    void nccl(ncclResult_t result, ncclComm_t comm, const char* what, const char* group = nullptr) {
        if (!failed(result)) return;
        std::string said;
        call([&] {
            said = nccl_.GetErrorString(result);
            const char* const more = nccl_.GetLastError(comm);
            if (more && *more) said += ": " + std::string(more);
            return ncclSuccess;
        });
        fail(result == ncclRemoteError ? Exit::peer_lost : Exit::other,
             "NCCL: " + std::string(what) + (group ? " of group " + std::string(group) : "") + ": " + said);
    }
    Communicator& of(const NcclPlace& place) { return comms_[size_t(place.comm)]; }
    // Calls queue(communicator, stream), which may call NCCL several times: as one, it is queued at once or at end().
    template <class F>
    void launch(const NcclPlace& place, F queue);
    void fork(Stream stream);
    void settle(const Communicator& c, const char* what);

    const double timeout_;
    const NcclLibrary& nccl_;
    int device_ = 0;
    NcclProgress progress_;
    cudaStream_t aside_ = nullptr;
    cudaEvent_t forked_ = nullptr, joined_ = nullptr;
    bool unjoined_ = false;  // something was queued aside

    std::timed_mutex mutex_;  // guards what follows, and every call of NCCL
    bool aborted_ = false;
    std::deque<Communicator> comms_;  // which stay where they are: NCCL writes to them until they are made

    int depth_ = 0;                   // of begin()
    std::vector<NcclPlace> grouped_;  // since begin()
};

// ---------------------------------------------------------------- communicators
int CudaNccl::open(const char* group, int ranks, int rank, const NcclId& id) {
    ncclUniqueId unique;
    std::memcpy(&unique, id.data(), sizeof unique);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.commName = group;
    const ncclResult_t result = call([&] {
        Communicator& c = comms_.emplace_back(Communicator{group, ranks, rank, nullptr});
        const ncclResult_t began = nccl_.CommInitRankConfig(&c.comm, ranks, unique, rank, &config);
        if (!c.comm) comms_.pop_back();
        return began;
    });
    nccl(result, nullptr, "making the communicator", group);
    return int(comms_.size()) - 1;
}

bool CudaNccl::opened(int comm) {
    const Communicator& c = comms_[size_t(comm)];
    ncclResult_t state = ncclInProgress;
    call([&] { return nccl_.CommGetAsyncError(c.comm, &state); });
    nccl(state, c.comm, "making the communicator", c.group);
    return state == ncclSuccess;
}

// At first NCCL connects as a collective is queued: before that is done, nothing else may be.
void CudaNccl::settle(const Communicator& c, const char* what) {
    const double since = steady_seconds();
    for (;;) {
        ncclResult_t state = ncclInProgress;
        call([&] { return nccl_.CommGetAsyncError(c.comm, &state); });
        nccl(state, c.comm, what, c.group);
        if (state == ncclSuccess) return;
        if (steady_seconds() - since > timeout_)
            fail(Exit::peer_lost, "NCCL does not connect the ranks of group " + std::string(c.group) + " within " +
                                      format_seconds(timeout_) + " (parallel.timeout)");
        std::this_thread::sleep_for(kPoll);
    }
}

// ---------------------------------------------------------------- how collectives are queued
// What is queued aside from now on comes after what the stream holds.
void CudaNccl::fork(Stream stream) {
    cuda_done(cudaEventRecord(forked_, handle_of(stream)), "NCCL: an event");
    cuda_done(cudaStreamWaitEvent(aside_, forked_, 0), "NCCL: an event");
    unjoined_ = true;
}

template <class F>
void CudaNccl::launch(const NcclPlace& place, F queue) {
    const Communicator& c = of(place);
    begin();
    try {
        check(grouped_.empty() || grouped_[0].aside == place.aside, "collectives in order and aside, in one group");
        grouped_.push_back(place);
        nccl(call([&] { return queue(c, place.aside ? aside_ : handle_of(place.stream)); }), c.comm, place.what,
             c.group);
    } catch (...) {
        forget();
        throw;
    }
    end();
}

void CudaNccl::begin() {
    if (depth_++ > 0) return;
    grouped_.clear();
    nccl(call([&] { return nccl_.GroupStart(); }), nullptr, "a group");
}

void CudaNccl::end() {
    if (--depth_ > 0) return;
    if (grouped_.empty()) return nccl(call([&] { return nccl_.GroupEnd(); }), nullptr, "a group");
    const NcclPlace &first = grouped_.front(), &last = grouped_.back();
    if (first.aside) fork(first.stream);
    const cudaStream_t stream = first.aside ? aside_ : handle_of(last.stream);
    progress_.begin(last, of(last).group, stream);
    nccl(call([&] { return nccl_.GroupEnd(); }), of(first).comm, first.what);
    for (size_t i = 0; i < grouped_.size(); i++) {
        const auto same = [&](const NcclPlace& place) { return place.comm == grouped_[i].comm; };
        if (std::none_of(grouped_.begin(), grouped_.begin() + long(i), same)) settle(of(grouped_[i]), first.what);
    }
    progress_.end(last, of(last).group, stream);
}

void CudaNccl::forget() noexcept {
    if (--depth_ > 0) return;
    const std::lock_guard lock(mutex_);
    if (!aborted_) nccl_.GroupEnd();  // what it says is of no interest: an error is on its way
}

void CudaNccl::join(const NcclPlace& place) {
    if (unjoined_) {
        unjoined_ = false;
        cuda_done(cudaEventRecord(joined_, aside_), "NCCL: an event");
        cuda_done(cudaStreamWaitEvent(handle_of(place.stream), joined_, 0), "NCCL: an event");
    }
    progress_.join(place, of(place).group, handle_of(place.stream));
}

// ---------------------------------------------------------------- collectives
void CudaNccl::all_reduce(const NcclPlace& place, void* x, int64_t count, Number type) {
    if (count == 0) return;
    launch(place, [&](const Communicator& c, cudaStream_t stream) {
        return nccl_.AllReduce(x, x, size_t(count), type_of(type), ncclSum, c.comm, stream);
    });
}

// Whether all ranks have the same part. NCCL's own functions have no ragged ones: these go as one reduction or
// broadcast for each rank that has any.
static bool all_equal(const int64_t* counts, int ranks) { return std::equal(counts + 1, counts + ranks, counts); }

void CudaNccl::reduce_scatter(const NcclPlace& place, void* out, const void* in, const int64_t* counts, Number type) {
    const Communicator& to = of(place);
    if (std::all_of(counts, counts + to.ranks, [](int64_t n) { return n == 0; })) return;
    launch(place, [&](const Communicator& c, cudaStream_t stream) {
        if (all_equal(counts, c.ranks))
            return nccl_.ReduceScatter(in, out, size_t(counts[0]), type_of(type), ncclSum, c.comm, stream);
        int64_t begin = 0;
        for (int r = 0; r < c.ranks; begin += counts[r++] * int64_t(bytes_of(type))) {
            if (counts[r] == 0) continue;
            const ncclResult_t result = nccl_.Reduce(at(in, begin), r == c.rank ? out : nullptr, size_t(counts[r]),
                                                     type_of(type), ncclSum, r, c.comm, stream);
            if (failed(result)) return result;
        }
        return ncclSuccess;
    });
}

void CudaNccl::all_gather(const NcclPlace& place, void* out, const void* in, const int64_t* counts, size_t item) {
    const Communicator& to = of(place);
    if (std::all_of(counts, counts + to.ranks, [](int64_t n) { return n == 0; })) return;
    launch(place, [&](const Communicator& c, cudaStream_t stream) {
        if (all_equal(counts, c.ranks))
            return nccl_.AllGather(in, out, size_t(counts[0]) * item, ncclInt8, c.comm, stream);
        int64_t begin = 0;
        for (int r = 0; r < c.ranks; begin += counts[r++] * int64_t(item)) {
            if (counts[r] == 0) continue;
            void* const slice = at(out, begin);
            const ncclResult_t result =
                nccl_.Broadcast(r == c.rank ? in : slice, slice, size_t(counts[r]) * item, ncclInt8, r, c.comm, stream);
            if (failed(result)) return result;
        }
        return ncclSuccess;
    });
}

void CudaNccl::all_to_all(const NcclPlace& place, void* out, const int64_t* out_counts, const void* in,
                          const int64_t* in_counts, size_t item) {
    const Communicator& to = of(place);
    int64_t others = 0, in_begin = 0, out_begin = 0;  // begins: of this rank's own part, in elements
    for (int r = 0; r < to.ranks; r++) {
        if (r != to.rank) others += in_counts[r] + out_counts[r];
        if (r < to.rank) in_begin += in_counts[r];
        if (r < to.rank) out_begin += out_counts[r];
    }
    if (in_counts[to.rank] > 0)
        cuda_done(cudaMemcpyAsync(at(out, out_begin * int64_t(item)), at(in, in_begin * int64_t(item)),
                                  size_t(in_counts[to.rank]) * item, cudaMemcpyDeviceToDevice, handle_of(place.stream)),
                  "NCCL: a copy");
    if (others == 0) return;
    launch(place, [&](const Communicator& c, cudaStream_t stream) {
        int64_t from = 0, into = 0;  // bytes
        for (int r = 0; r < c.ranks; r++) {
            const size_t sent = size_t(in_counts[r]) * item, received = size_t(out_counts[r]) * item;
            ncclResult_t result = ncclSuccess;
            if (r != c.rank && sent > 0) result = nccl_.Send(at(in, from), sent, ncclInt8, r, c.comm, stream);
            if (r != c.rank && received > 0 && !failed(result))
                result = nccl_.Recv(at(out, into), received, ncclInt8, r, c.comm, stream);
            if (failed(result)) return result;
            from += int64_t(sent);
            into += int64_t(received);
        }
        return ncclSuccess;
    });
}

void CudaNccl::broadcast(const NcclPlace& place, void* x, size_t bytes, int root) {
    if (bytes == 0) return;
    launch(place, [&](const Communicator& c, cudaStream_t stream) {
        return nccl_.Broadcast(x, x, bytes, ncclInt8, root, c.comm, stream);
    });
}

// ---------------------------------------------------------------- watching and ending
std::string CudaNccl::error() {
    const std::unique_lock lock(mutex_, std::try_to_lock);  // a call that goes on tells its own errors
    if (!lock || aborted_) return "";
    for (const Communicator& c : comms_) {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t asked = nccl_.CommGetAsyncError(c.comm, &state);
        if (asked != ncclSuccess) state = asked;
        if (failed(state)) return std::string(nccl_.GetErrorString(state)) + " in group " + c.group;
    }
    return "";
}

void CudaNccl::abort() noexcept {
    const std::unique_lock lock(mutex_, kLock);
    if (!lock || aborted_) return;
    aborted_ = true;
    for (const Communicator& c : comms_) nccl_.CommAbort(c.comm);
}

void CudaNccl::close(double seconds) noexcept {
    const double end = steady_seconds() + seconds;
    const std::unique_lock lock(mutex_, kLock);
    if (!lock || aborted_) return;
    aborted_ = true;
    std::vector<ncclResult_t> states;
    for (const Communicator& c : comms_) states.push_back(nccl_.CommFinalize(c.comm));
    for (size_t i = 0; i < comms_.size(); i++) {
        const Communicator& c = comms_[i];
        ncclResult_t& state = states[i];
        while (state == ncclInProgress && steady_seconds() < end) {
            const ncclResult_t asked = nccl_.CommGetAsyncError(c.comm, &state);
            if (asked != ncclSuccess) state = asked;
            if (state == ncclInProgress) std::this_thread::sleep_for(kPoll);
        }
        if (state == ncclSuccess)
            nccl_.CommDestroy(c.comm);
        else
            nccl_.CommAbort(c.comm);
    }
}

}  // namespace

template <class B>
std::unique_ptr<Nccl> open_nccl(double timeout) {
    return std::make_unique<CudaNccl>(timeout);
}

#define INSTANTIATE(B) template std::unique_ptr<Nccl> open_nccl<B>(double);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
