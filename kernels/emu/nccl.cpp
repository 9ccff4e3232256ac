#include "kernels/emu/nccl.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/graph.h"
#include "kernels/emu/nccl_work.h"
#include "kernels/emu/queue.h"

// Everything here is guarded by the device's lock.
namespace sluice::emu {
namespace {

constexpr int kPollsUntilConnected = 2;

// A thread that has communicators.
struct RankThread {
    std::thread::id thread;
    int communicators = 0;
    int64_t launched = 0;
    NcclFault fault = NcclFault::none;
    int64_t after = 0;
    double seconds = 0;
    std::chrono::steady_clock::time_point failed{};  // the first of these launches
    NcclWork::Time last{};                           // of those that are slow, when the last one comes about
    // What it has launched with another thread, and that one not yet, in order.
    struct Launched {
        const void* clique;
        std::string text;  // a call, and on which communicator
    };
    std::map<const RankThread*, std::deque<Launched>> ahead;

    bool fails() const { return fault != NcclFault::none && launched > after; }
};
std::map<std::thread::id, RankThread>& rank_threads() {
    static auto* const all = new std::map<std::thread::id, RankThread>;
    return *all;
}

// What the ranks of a communicator have in common.
struct Clique {
    std::string name;                // "'data'": as the rank calls it that was first
    std::vector<ncclComm*> members;  // by rank; null: not yet there, or gone
    std::vector<int> devices;        // by rank; -1: not yet there
    int finalized = 0;
    std::map<uint64_t, std::shared_ptr<NcclWork>> collectives;                                // that not all ask for
    std::map<std::pair<std::pair<int, int>, uint64_t>, std::shared_ptr<NcclWork>> exchanges;  // from, to, number

    bool complete() const {
        return std::none_of(members.begin(), members.end(), [](const ncclComm* m) { return m == nullptr; });
    }
};
std::map<std::string, std::shared_ptr<Clique>>& cliques() {  // by id
    static auto* const all = new std::map<std::string, std::shared_ptr<Clique>>;
    return *all;
}
int64_t cliques_so_far = 0, communicators_so_far = 0, aborts_so_far = 0, launches_so_far = 0;

struct Asked {
    ncclComm* comm;
    NcclCall call;
    StreamQueue* stream;
};
thread_local int group_depth = 0;
thread_local std::vector<Asked> group;
thread_local std::string last_refusal;

ncclResult_t refuse(ncclResult_t result, const std::string& why) {
    last_refusal = why;
    return result;
}

}  // namespace
}  // namespace sluice::emu

using namespace sluice::emu;

struct ncclComm {
    std::shared_ptr<Clique> clique;
    int rank = 0;
    ncclComm_t* made_at = nullptr;  // where it is written to, once more, when it is made
    RankThread* owner = nullptr;
    ncclResult_t state = ncclInProgress;
    std::string error;
    int polls = 0;
    bool made = false, connected = false, finalizing = false;
    std::vector<Asked> held_back;  // until it is connected
    uint64_t collectives = 0;
    std::map<int, uint64_t> sends, receives;                                     // by peer
    std::vector<std::pair<StreamQueue*, std::shared_ptr<NcclLaunch>>> launches;  // those not done
    // This, or null once it is gone: captured collectives hold it, as long as their graph lives.
    std::shared_ptr<ncclComm*> self = std::make_shared<ncclComm*>(this);

    bool here() const { return owner->thread == std::this_thread::get_id(); }
    bool captured() const { return self.use_count() > 1; }
};

// ---------------------------------------------------------------- launches
// The thread and another one of the communicator launch work together: both in one order. Returns what differs.
static std::string out_of_order(ncclComm& comm, int peer, const NcclCall& call) {
    const ncclComm* const other = comm.clique->members[size_t(peer)];
    if (!other || other->owner == comm.owner) return "";
    auto& theirs = other->owner->ahead[comm.owner];
    const std::string text = nccl_text(call) + " on communicator " + comm.clique->name;
    if (theirs.empty()) {
        comm.owner->ahead[other->owner].push_back({comm.clique.get(), text});
        return "";
    }
    const RankThread::Launched first = theirs.front();
    theirs.pop_front();
    if (first.clique == comm.clique.get()) return "";
    return "rank " + std::to_string(comm.rank) + " launches " + text + " where rank " + std::to_string(peer) +
           " of it launches " + first.text;
}

static NcclLaunch::Item item_of(ncclComm& comm, const NcclCall& call) {
    Clique& clique = *comm.clique;
    const auto take = [&](auto& works, const auto& key, size_t member, const std::vector<int>& ranks) {
        auto& work = works[key];
        if (!work) work = std::make_shared<NcclWork>(clique.name, ranks);
        const NcclLaunch::Item item{work, member};
        bool last = true;  // to ask for it
        for (size_t m = 0; m < ranks.size(); m++) last = last && (m == member || work->asked(m));
        if (last) works.erase(key);
        return item;
    };
    if (call.kind < NcclKind::send) {
        std::vector<int> ranks(clique.members.size());
        for (size_t r = 0; r < ranks.size(); r++) ranks[r] = int(r);
        return take(clique.collectives, comm.collectives++, size_t(comm.rank), ranks);
    }
    const bool sends = call.kind == NcclKind::send;
    const int from = sends ? comm.rank : call.peer, to = sends ? call.peer : comm.rank;
    const uint64_t number = (sends ? comm.sends : comm.receives)[call.peer]++;
    return take(clique.exchanges, std::pair(std::pair(from, to), number), sends ? 0 : 1, {from, to});
}

// What the group lacks to be launched; or empty.
static std::string mismatch(ncclComm& comm, const std::vector<Asked>& asked,
                            const std::vector<NcclLaunch::Item>& items) {
    std::vector<int> exchanged;  // peers: what two ranks send each other in a group is one thing to both
    for (size_t i = 0; i < asked.size(); i++) {
        const NcclCall& call = asked[i].call;
        std::string why = items[i].work->differs(items[i].member, call);
        if (call.kind >= NcclKind::send) {
            const bool met = std::count(exchanged.begin(), exchanged.end(), call.peer) > 0;
            if (why.empty() && !met) why = out_of_order(comm, call.peer, call);
            exchanged.push_back(call.peer);
        } else {
            for (int r = 0; r < int(comm.clique->members.size()) && why.empty(); r++)
                if (r != comm.rank) why = out_of_order(comm, r, call);
        }
        if (!why.empty()) return "NCCL would hang here: " + why;
    }
    return "";
}

static ncclResult_t launch(ncclComm& comm, const std::vector<Asked>& asked) {
    StreamQueue& stream = *asked[0].stream;
    if (stream.capture) {  // each launch of the graph asks anew
        stream.capture->add(stream, [self = comm.self, asked](StreamQueue& launched) {
            if (!*self) return;  // it was aborted
            std::vector<Asked> again = asked;
            for (Asked& a : again) a.stream = &launched;
            launch(**self, again);
        });
        return ncclSuccess;
    }
    Device& device = Device::get();
    RankThread& owner = *comm.owner;
    launches_so_far++;
    owner.launched++;
    if (owner.launched == owner.after + 1) owner.failed = std::chrono::steady_clock::now();
    std::vector<NcclLaunch::Item> items;
    for (const Asked& a : asked) items.push_back(item_of(comm, a.call));
    const std::string why = options().nccl_checks ? mismatch(comm, asked, items) : "";
    if (!why.empty()) {
        for (const auto& item : items) item.work->drop(why);
        device.moved();
        comm.error = why;
        return comm.state = refuse(ncclInvalidUsage, why);
    }
    bool meets = true;  // false: it asks for something else than others, and waits for them for ever
    for (size_t i = 0; i < asked.size(); i++) {
        meets = meets && items[i].work->differs(items[i].member, asked[i].call).empty();
        items[i].work->ask(items[i].member, asked[i].call);
    }
    NcclWork::Time held{};
    if (!meets || (owner.fails() && owner.fault != NcclFault::slow))
        held = NcclWork::Time::max();
    else if (owner.fails())
        held = owner.last = std::max(owner.last, std::chrono::steady_clock::now()) +
                            std::chrono::milliseconds(int64_t(owner.seconds * 1000));
    const auto made = std::make_shared<NcclLaunch>(std::move(items));
    std::erase_if(comm.launches, [](const auto& l) { return l.second->finished(); });
    comm.launches.emplace_back(&stream, made);
    device.queue_meeting(stream, made, [made] { made->run(); });
    for (const auto& item : made->items()) item.work->queue(item.member, stream, held);
    device.moved();
    return ncclSuccess;
}

// All that the thread has asked for since the group began: of each communicator one launch.
static ncclResult_t launch_group() {
    const std::vector<Asked> all = std::exchange(group, {});
    std::vector<ncclComm*> comms;
    for (const Asked& a : all)
        if (std::count(comms.begin(), comms.end(), a.comm) == 0) comms.push_back(a.comm);
    ncclResult_t result = ncclSuccess;
    for (ncclComm* comm : comms) {
        std::vector<Asked> asked;
        std::copy_if(all.begin(), all.end(), std::back_inserter(asked), [&](const Asked& a) { return a.comm == comm; });
        if (std::any_of(asked.begin(), asked.end(), [&](const Asked& a) { return a.stream != asked[0].stream; }))
            return refuse(ncclInvalidUsage, "a group on several streams of a communicator");
        if (!comm->connected) {
            comm->held_back = std::move(asked);
            comm->polls = 0;
            result = comm->state = ncclInProgress;
        } else if (const ncclResult_t launched = launch(*comm, asked); launched != ncclSuccess) {
            return launched;
        }
    }
    return result;
}

static ncclResult_t ask(ncclComm_t comm, const NcclCall& call, cudaStream_t handle) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (!comm || !device.is_stream(handle)) return refuse(ncclInvalidArgument, "no communicator, or no stream");
    if (!comm->here()) return refuse(ncclInvalidUsage, "a communicator of another thread");
    if (comm->state == ncclInProgress || comm->finalizing)
        return refuse(ncclInvalidUsage, "a call on a communicator that is still connecting, or finalized");
    const std::string why = nccl_refusal(call, comm->rank, int(comm->clique->members.size()));
    if (!why.empty()) return refuse(ncclInvalidArgument, nccl_text(call) + ": " + why);
    group.push_back({comm, call, &device.of(handle)});
    if (group_depth == 0) return launch_group();
    return comm->connected ? ncclSuccess : ncclInProgress;
}

// ---------------------------------------------------------------- faults, counts
void sluice::emu::nccl_fault(NcclFault fault, int64_t after, double seconds) {
    Device& device = Device::get();
    const auto lock = device.lock();
    const auto found = rank_threads().find(std::this_thread::get_id());
    sluice::check(found != rank_threads().end(), "a fault of a thread that has no communicator");
    RankThread& rank = found->second;
    device.expect_hangs((fault != NcclFault::none) - (rank.fault != NcclFault::none));
    rank.fault = fault;
    rank.after = rank.launched + after;
    rank.seconds = seconds;
    rank.last = {};
}
int64_t sluice::emu::nccl_communicators() {
    const auto lock = Device::get().lock();
    return communicators_so_far;
}
int64_t sluice::emu::nccl_aborts() {
    const auto lock = Device::get().lock();
    return aborts_so_far;
}
int64_t sluice::emu::nccl_launches() {
    const auto lock = Device::get().lock();
    return launches_so_far;
}

// ---------------------------------------------------------------- communicators
ncclResult_t ncclGetVersion(int* version) {
    *version = options().nccl_version;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    const auto lock = Device::get().lock();
    std::memset(id, 0, sizeof *id);
    const std::string text = "emulated " + std::to_string(++cliques_so_far);
    std::memcpy(id->internal, text.data(), text.size());
    return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
    static constexpr const char* texts[] = {"no error",
                                            "unhandled cuda error",
                                            "unhandled system error",
                                            "internal error",
                                            "invalid argument",
                                            "invalid usage",
                                            "remote process exited or there was a network error",
                                            "NCCL operation in progress"};
    return texts[size_t(result)];
}

const char* ncclGetLastError(ncclComm_t comm) {
    const auto lock = Device::get().lock();
    if (comm && !comm->error.empty()) last_refusal = comm->error;
    return last_refusal.c_str();
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
    Device& device = Device::get();
    const auto lock = device.lock();
    if (ranks < 1 || rank < 0 || rank >= ranks) return refuse(ncclInvalidArgument, "no such rank");
    if (!config || config->size != sizeof *config || config->magic != 0xcafebeef || config->blocking != 0)
        return refuse(ncclInvalidArgument, "the stand-in makes communicators without blocking");
    auto& clique = cliques()[std::string(id.internal, sizeof id.internal)];
    if (!clique) {
        clique = std::make_shared<Clique>();
        clique->members.resize(size_t(ranks));
        clique->devices.resize(size_t(ranks), -1);
        const std::string number = std::to_string(cliques().size());
        clique->name = config->commName ? "'" + std::string(config->commName) + "'" : number;
    }
    if (int(clique->members.size()) != ranks || clique->members[size_t(rank)])
        return refuse(ncclInvalidUsage, "ranks that do not make a communicator");
    const auto thread = std::this_thread::get_id();
    RankThread& owner = rank_threads()[thread];
    owner.thread = thread;
    owner.communicators++;
    device.join(thread);
    communicators_so_far++;
    *comm = new ncclComm;
    (*comm)->clique = clique;
    (*comm)->rank = rank;
    (*comm)->made_at = comm;
    (*comm)->owner = &owner;
    clique->members[size_t(rank)] = *comm;
    cudaGetDevice(&clique->devices[size_t(rank)]);
    return ncclInProgress;
}

// NCCL's user guide, "Creating a Communicator": one CUDA device for several ranks of a communicator is not supported.
// Each rank that shares its device is told once all are there, and the communicator is made on none.
static bool shares_device(ncclComm& comm) {
    const std::vector<int>& devices = comm.clique->devices;
    if (options().devices == 1 || std::count(devices.begin(), devices.end(), -1) > 0) return false;
    bool shares = false;
    for (int r = 0; r < int(devices.size()); r++)
        for (int q = 0; q < r; q++) {
            if (devices[size_t(q)] != devices[size_t(r)]) continue;
            shares = true;
            if (comm.rank != q && comm.rank != r) continue;
            comm.error = "Duplicate GPU detected : rank " + std::to_string(comm.rank) + " and rank " +
                         std::to_string(q + r - comm.rank) + " both on CUDA device " +
                         std::to_string(devices[size_t(r)]);
            comm.state = refuse(ncclInvalidUsage, comm.error);
        }
    return shares;
}

// A poll of the thread that launches lets a communicator get on; one of another thread only looks.
static void poll(ncclComm& comm) {
    if (comm.state != ncclInProgress || !comm.here()) return;
    if (comm.finalizing) {
        for (const auto& [stream, launched] : comm.launches)
            if (!launched->finished()) return Device::get().step(*stream);
        // NVIDIA's guide to CUDA graphs, "Process Hang": a communicator does not end before all graphs are
        // destroyed that its collectives are in.
        if (comm.captured()) return;
        if (comm.clique->finalized == int(comm.clique->members.size())) comm.state = ncclSuccess;
    } else if (++comm.polls < kPollsUntilConnected) {
        return;
    } else if (!comm.made) {
        if (shares_device(comm)) return;
        comm.made = options().nccl_connects && comm.clique->complete();
        if (!comm.made) return;
        *comm.made_at = &comm;
        comm.state = ncclSuccess;
    } else if (options().nccl_connects) {
        comm.connected = true;
        comm.state = launch(comm, std::exchange(comm.held_back, {}));
    }
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
    const auto lock = Device::get().lock();
    poll(*comm);
    *error = comm->state;
    const RankThread& owner = *comm->owner;
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - owner.failed;
    if (owner.fault == NcclFault::error && owner.fails() && since.count() >= owner.seconds) *error = ncclRemoteError;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    const auto lock = Device::get().lock();
    if (comm->state != ncclSuccess) return refuse(ncclInvalidUsage, "a communicator that is not ready is finalized");
    comm->finalizing = true;
    comm->clique->finalized++;
    return comm->state = ncclInProgress;
}

static void forget(ncclComm_t comm) {
    RankThread& owner = *comm->owner;
    Device::get().leave(owner.thread);
    Clique& clique = *comm->clique;
    clique.members[size_t(comm->rank)] = nullptr;
    if (std::all_of(clique.members.begin(), clique.members.end(), [](const ncclComm* m) { return m == nullptr; }))
        std::erase_if(cliques(), [&](const auto& c) { return c.second == comm->clique; });
    if (--owner.communicators == 0) {
        Device::get().expect_hangs(owner.fault == NcclFault::none ? 0 : -1);
        for (auto& [thread, other] : rank_threads()) other.ahead.erase(&owner);
        rank_threads().erase(owner.thread);
    }
    *comm->self = nullptr;
    delete comm;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    const auto lock = Device::get().lock();
    if (!comm->finalizing || comm->state != ncclSuccess)
        return refuse(ncclInvalidUsage, "a communicator that is not finalized is destroyed: that may hang");
    forget(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    const auto lock = Device::get().lock();
    for (const auto& [stream, launched] : comm->launches)
        if (!launched->finished()) launched->release();
    aborts_so_far++;
    forget(comm);
    return ncclSuccess;
}

// ---------------------------------------------------------------- groups and collectives
ncclResult_t ncclGroupStart() {
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    const auto lock = Device::get().lock();
    if (group_depth == 0) return refuse(ncclInvalidUsage, "the end of no group");
    return --group_depth > 0 ? ncclSuccess : launch_group();
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
    if (op != ncclSum) return refuse(ncclInvalidArgument, "the stand-in only sums");
    return ask(comm, {NcclKind::all_reduce, in, out, count, type}, stream);
}
ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
    if (op != ncclSum) return refuse(ncclInvalidArgument, "the stand-in only sums");
    return ask(comm, {NcclKind::reduce_scatter, in, out, count, type}, stream);
}
ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
    return ask(comm, {NcclKind::all_gather, in, out, count, type}, stream);
}
ncclResult_t ncclReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream) {
    if (op != ncclSum) return refuse(ncclInvalidArgument, "the stand-in only sums");
    return ask(comm, {NcclKind::reduce, in, out, count, type, root}, stream);
}
ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
    return ask(comm, {NcclKind::broadcast, in, out, count, type, root}, stream);
}
ncclResult_t ncclSend(const void* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
    return ask(comm, {NcclKind::send, in, nullptr, count, type, peer}, stream);
}
ncclResult_t ncclRecv(void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
    return ask(comm, {NcclKind::receive, nullptr, out, count, type, peer}, stream);
}
