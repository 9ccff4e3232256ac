// NCCL's stand-in: what it refuses, what order the tasks of ranks have, and waits in which nothing can go on.
#include "kernels/emu/nccl.h"

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "parallel/comm.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

// One rank: a thread with a stream and communicators.
class Rank {
 public:
    explicit Rank(Comm& host) : host_(host) {
        EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
        comm = open(host, "all");
    }
    ~Rank() {
        abort();
        EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
    }
    Rank(const Rank&) = delete;

    ncclComm_t open(Comm& host, const char* name) {
        ncclUniqueId id{};
        if (host.rank() == 0) { EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess); }
        host.broadcast(&id, sizeof id, 0);
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        config.commName = name;
        ncclComm_t made = nullptr;
        EXPECT_EQ(ncclCommInitRankConfig(&made, host.size(), id, host.rank(), &config), ncclInProgress);
        EXPECT_EQ(settle(made), ncclSuccess);
        host.barrier();  // none leaves before all are there
        opened_.push_back(made);
        return made;
    }
    // Until what was asked for is queued.
    static ncclResult_t settle(ncclComm_t comm) {
        ncclResult_t state = ncclInProgress;
        while (state == ncclInProgress) {
            EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
            std::this_thread::yield();
        }
        return state;
    }
    // The message of the error that waiting for the stream meets, or "".
    std::string wait() const {
        const cudaError_t error = cudaStreamSynchronize(stream);
        return error == cudaSuccess ? "" : cudaGetErrorString(error);
    }
    // Of `count` floats, in place.
    ncclResult_t all_reduce(const OnDevice<float>& x, size_t count, ncclComm_t on = nullptr) const {
        const ncclComm_t with = on ? on : comm;
        return queued(ncclAllReduce(x.data(), x.data(), count, ncclFloat32, ncclSum, with, stream), with);
    }
    ncclResult_t queued(ncclResult_t asked, ncclComm_t on = nullptr) const {
        return asked == ncclInProgress ? settle(on ? on : comm) : asked;
    }
    template <class T>
    std::vector<T> values(const OnDevice<T>& x) const {
        return x.values({.handle = stream});
    }
    // Ends all communicators: what waits for others ends too.
    void abort() {
        for (ncclComm_t opened : opened_) ncclCommAbort(opened);
        opened_.clear();
    }
    // The first communicator, which the test itself ends.
    ncclComm_t leave() {
        opened_.erase(opened_.begin());
        return comm;
    }
    int rank() const { return host_.rank(); }

    cudaStream_t stream = nullptr;
    ncclComm_t comm = nullptr;

 private:
    Comm& host_;
    std::vector<ncclComm_t> opened_;
};

void on_ranks(int ranks, const std::function<void(Rank&, Comm&)>& body) {
    run_threads(ranks, [&](Comm& host) {
        Rank rank(host);
        body(rank, host);
        host.barrier();
    });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

class Nccl : public Emulator {};

TEST_F(Nccl, ACollectiveHappensWhenAllRanksAreAtIt) {
    for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
        emu::options().order = order;
        on_ranks(3, [](Rank& rank, Comm&) {
            const OnDevice<float> x({float(rank.rank()), 1});
            EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
            EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
            EXPECT_EQ(rank.wait(), "");
            EXPECT_EQ(rank.values(x), (std::vector<float>{9, 9}));
        });
    }
}

TEST_F(Nccl, EachFunctionMovesWhatItSays) {
    on_ranks(3, [](Rank& rank, Comm&) {
        const int r = rank.rank();
        const float f = float(r);
        const OnDevice<float> in({f, f + 10, f + 20}), out({-1, -1, -1}), all(std::vector<float>(9, -1)), one({-1, -1});
        EXPECT_EQ(
            rank.queued(ncclReduceScatter(in.data(), one.data(), 1, ncclFloat32, ncclSum, rank.comm, rank.stream)),
            ncclSuccess);
        EXPECT_EQ(ncclAllGather(in.data(), all.data(), 12, ncclInt8, rank.comm, rank.stream), ncclSuccess);
        EXPECT_EQ(
            ncclReduce(in.data(), r == 1 ? out.data() : nullptr, 3, ncclFloat32, ncclSum, 1, rank.comm, rank.stream),
            ncclSuccess);
        EXPECT_EQ(ncclBroadcast(out.data(), out.data(), 8, ncclInt8, 1, rank.comm, rank.stream), ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(rank.values(one), (std::vector<float>{3 + 30 * f, -1}));
        EXPECT_EQ(rank.values(all), (std::vector<float>{0, 10, 20, 1, 11, 21, 2, 12, 22}));
        EXPECT_EQ(rank.values(out), (std::vector<float>{3, 33, r == 1 ? 63.f : -1.f}));
    });
}

// 1 + 2^-8 is 1 in bf16, and 1 + 2^-8 + 2^-8 is not.
TEST_F(Nccl, SumsOfBf16AreRoundedOnce) {
    on_ranks(3, [](Rank& rank, Comm&) {
        const OnDevice<bf16> x({bf16(rank.rank() == 0 ? 1.f : 1.f / 256)});
        EXPECT_EQ(rank.queued(ncclAllReduce(x.data(), x.data(), 1, ncclBfloat16, ncclSum, rank.comm, rank.stream)),
                  ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(float(rank.values(x)[0]), 1 + 1.f / 128);
    });
}

TEST_F(Nccl, RanksThatAskForDifferentThingsAreNamed) {
    using Ask = std::function<ncclResult_t(const Rank&, float*, float*)>;
    const Ask two = [](const Rank& r, float* x, float*) {
        return ncclAllReduce(x, x, 2, ncclFloat32, ncclSum, r.comm, r.stream);
    };
    const Ask root_0 = [](const Rank& r, float* x, float*) {
        return ncclBroadcast(x, x, 8, ncclInt8, 0, r.comm, r.stream);
    };
    const struct {
        Ask first, second;
        const char *asks, *where;
    } cases[] = {
        {two,
         [](const Rank& r, float* x, float*) { return ncclAllReduce(x, x, 3, ncclFloat32, ncclSum, r.comm, r.stream); },
         "rank 1 asks for ncclAllReduce of 3 floats", "rank 0 for ncclAllReduce of 2 floats"},
        {two,
         [](const Rank& r, float* x, float*) { return ncclAllReduce(x, x, 2, ncclFloat64, ncclSum, r.comm, r.stream); },
         "rank 1 asks for ncclAllReduce of 2 doubles", "rank 0 for ncclAllReduce of 2 floats"},
        {two, [](const Rank& r, float* x, float* y) { return ncclAllGather(x, y, 2, ncclFloat32, r.comm, r.stream); },
         "rank 1 asks for ncclAllGather of 2 floats", "rank 0 for ncclAllReduce of 2 floats"},
        {root_0, [](const Rank& r, float* x, float*) { return ncclBroadcast(x, x, 8, ncclInt8, 1, r.comm, r.stream); },
         "rank 1 asks for ncclBroadcast of 8 bytes, root 1", "rank 0 for ncclBroadcast of 8 bytes, root 0"},
        {[](const Rank& r, float* x, float*) { return ncclSend(x, 8, ncclInt8, 1, r.comm, r.stream); },
         [](const Rank& r, float* x, float*) { return ncclRecv(x, 4, ncclInt8, 0, r.comm, r.stream); },
         "rank 1 asks for ncclRecv of 4 bytes", "rank 0 for ncclSend of 8 bytes"}};
    for (const auto& c : cases)
        on_ranks(2, [&](Rank& rank, Comm& host) {
            SCOPED_TRACE(c.asks);
            const OnDevice<float> x(std::vector<float>(4)), y(std::vector<float>(4));
            if (rank.rank() == 0) { EXPECT_EQ(rank.queued(c.first(rank, x.data(), y.data())), ncclSuccess); }
            host.barrier();
            std::string said;
            if (rank.rank() == 1) {
                EXPECT_EQ(rank.queued(c.second(rank, x.data(), y.data())), ncclInvalidUsage);
                said = ncclGetLastError(rank.comm);
            }
            host.barrier();
            if (rank.rank() == 0) said = rank.wait();
            EXPECT_TRUE(has(said, "NCCL would hang here: ") && has(said, c.asks) && has(said, c.where)) << said;
        });
}

// Also where each communicator has a stream of its own.
TEST_F(Nccl, AnotherOrderOfTwoCommunicatorsIsNamed) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const ncclComm_t other = rank.open(host, "other");
        const OnDevice<float> x({1, 2}), y({3, 4});
        if (rank.rank() == 0) {
            EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
            EXPECT_EQ(rank.all_reduce(y, 2, other), ncclSuccess);
        }
        host.barrier();
        if (rank.rank() == 1) {
            EXPECT_EQ(rank.all_reduce(y, 2, other), ncclInvalidUsage);
            const std::string said = ncclGetLastError(other);
            EXPECT_TRUE(has(said, "rank 1 launches ncclAllReduce of 2 floats on communicator 'other'")) << said;
            EXPECT_TRUE(has(said, "rank 0 of it launches ncclAllReduce of 2 floats on communicator 'all'")) << said;
        }
        host.barrier();
        rank.abort();
    });
}

TEST_F(Nccl, AGroupIsOneLaunchAndNothingRunsBeforeItsEnd) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2}), y({3});
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);  // connects
        host.barrier();
        const int64_t before = emu::nccl_launches();
        host.barrier();
        ncclGroupStart();
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        ncclGroupStart();
        EXPECT_EQ(rank.all_reduce(y, 1), ncclSuccess);
        EXPECT_EQ(ncclGroupEnd(), ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(rank.values(x), (std::vector<float>{2, 4}));
        EXPECT_EQ(ncclGroupEnd(), ncclSuccess);
        EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage) << "of no group";
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(rank.values(x), (std::vector<float>{4, 8}));
        EXPECT_EQ(rank.values(y), (std::vector<float>{6}));
        host.barrier();
        EXPECT_EQ(emu::nccl_launches() - before, 2) << "one a rank";
        host.barrier();
        ncclGroupStart();
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        EXPECT_EQ(ncclAllReduce(y.data(), y.data(), 1, ncclFloat32, ncclSum, rank.comm, nullptr), ncclSuccess);
        EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage) << "two streams of one communicator";
    });
}

// Ranks may group differently.
TEST_F(Nccl, RaggedExchangesGoInAGroup) {
    on_ranks(3, [](Rank& rank, Comm&) {
        const int r = rank.rank();
        const OnDevice<float> in({10.f * float(r), 10.f * float(r) + 1, 10.f * float(r) + 2}), out({-1, -1, -1});
        // Rank r sends r numbers to each other one; rank 0 sends nothing.
        ncclGroupStart();
        for (int p = 0; p < 3; p++) {
            if (p == r) continue;
            if (r > 0) ncclSend(in.data(), size_t(r), ncclFloat32, p, rank.comm, rank.stream);
            if (p > 0) ncclRecv(out.data() + (p == 2 && r == 0), size_t(p), ncclFloat32, p, rank.comm, rank.stream);
        }
        EXPECT_EQ(rank.queued(ncclGroupEnd()), ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        const std::vector<float> expected[] = {{10, 20, 21}, {20, 21, -1}, {10, -1, -1}};
        EXPECT_EQ(rank.values(out), expected[r]);
    });
}

TEST_F(Nccl, BuffersThatCannotBeAreRefused) {
    on_ranks(2, [](Rank& rank, Comm&) {
        const OnDevice<float> x(std::vector<float>(8, 1)), y(std::vector<float>(8, 2));
        const size_t own = size_t(rank.rank()) * 2;
        std::vector<float> host(8);
        const auto reduce = [&](void* in, void* out, size_t count, ncclDataType_t type = ncclFloat32) {
            return ncclAllReduce(in, out, count, type, ncclSum, rank.comm, rank.stream);
        };
        const auto gather = [&](void* in) {
            return ncclAllGather(in, x.data(), 2, ncclFloat32, rank.comm, rank.stream);
        };
        EXPECT_EQ(reduce(host.data(), host.data(), 8), ncclInvalidArgument);
        EXPECT_TRUE(has(ncclGetLastError(rank.comm), "no device memory")) << ncclGetLastError(rank.comm);
        EXPECT_EQ(reduce(x.data(), x.data(), 17), ncclInvalidArgument);
        EXPECT_EQ(reduce(x.data(), x.data() + 1, 4), ncclInvalidArgument);
        EXPECT_TRUE(has(ncclGetLastError(rank.comm), "overlap")) << ncclGetLastError(rank.comm);
        EXPECT_EQ(reduce(x.data(), x.data(), 0), ncclInvalidArgument);
        EXPECT_EQ(reduce(x.data(), x.data(), 8, ncclInt8), ncclInvalidArgument);
        EXPECT_EQ(gather(x.data() + 1 + own), ncclInvalidArgument);
        EXPECT_EQ(ncclReduceScatter(x.data(), x.data() + 2 - own, 2, ncclFloat32, ncclSum, rank.comm, rank.stream),
                  ncclInvalidArgument);
        EXPECT_EQ(ncclSend(x.data(), 1, ncclInt8, rank.rank(), rank.comm, rank.stream), ncclInvalidArgument);
        EXPECT_EQ(ncclBroadcast(x.data(), x.data(), 1, ncclInt8, 2, rank.comm, rank.stream), ncclInvalidArgument);
        EXPECT_EQ(rank.queued(gather(x.data() + own)), ncclSuccess) << "in place";
        EXPECT_EQ(ncclReduceScatter(x.data(), x.data() + own, 2, ncclFloat32, ncclSum, rank.comm, rank.stream),
                  ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
    });
}

// The only device is all ranks'.
TEST_F(Nccl, RanksOnOneDeviceOfSeveralAreRefused) {
    const struct {
        int devices;
        std::array<int, 3> chosen;  // by rank
        std::array<ncclResult_t, 3> state;
    } cases[] = {
        {1, {0, 0, 0}, {ncclSuccess, ncclSuccess, ncclSuccess}},
        {3, {0, 2, 1}, {ncclSuccess, ncclSuccess, ncclSuccess}},
        {3, {2, 0, 2}, {ncclInvalidUsage, ncclInProgress, ncclInvalidUsage}},
    };
    for (const auto& c : cases) {
        emu::options().devices = c.devices;
        run_threads(3, [&](Comm& host) {
            EXPECT_EQ(cudaSetDevice(c.chosen[size_t(host.rank())]), cudaSuccess);
            ncclUniqueId id{};
            if (host.rank() == 0) { EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess); }
            host.broadcast(&id, sizeof id, 0);
            ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
            config.blocking = 0;
            ncclComm_t made = nullptr;
            EXPECT_EQ(ncclCommInitRankConfig(&made, 3, id, host.rank(), &config), ncclInProgress);
            host.barrier();
            ncclResult_t state = ncclInProgress;
            for (int i = 0; i < 10; i++) { EXPECT_EQ(ncclCommGetAsyncError(made, &state), ncclSuccess); }
            EXPECT_EQ(state, c.state[size_t(host.rank())]);
            if (state == ncclInvalidUsage) {
                const std::string said = ncclGetLastError(made);
                EXPECT_TRUE(said.starts_with("Duplicate GPU detected : rank " + std::to_string(host.rank()))) << said;
                EXPECT_TRUE(said.ends_with(" both on CUDA device 2")) << said;
            }
            host.barrier();  // none leaves before all have looked
            ncclCommAbort(made);
        });
    }
}

TEST_F(Nccl, NothingIsAskedOfACommunicatorThatStillConnects) {
    on_ranks(2, [](Rank& rank, Comm&) {
        const OnDevice<float> x({1, 2});
        const auto ask = [&] {
            return ncclAllReduce(x.data(), x.data(), 2, ncclFloat32, ncclSum, rank.comm, rank.stream);
        };
        EXPECT_EQ(ask(), ncclInProgress);
        EXPECT_EQ(ask(), ncclInvalidUsage);
        EXPECT_TRUE(has(ncclGetLastError(rank.comm), "still connecting"));
        EXPECT_EQ(Rank::settle(rank.comm), ncclSuccess);
        EXPECT_EQ(ask(), ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(rank.values(x), (std::vector<float>{4, 8}));
    });
}

struct Fill {
    static constexpr int kThreads = 32;
    Global<float> y;
    float value;
    DEVICE void operator()() const { y[thread()] = value; }
};

// What a rank gives must have been ordered before, and what it gets is used after.
TEST_F(Nccl, AMissingEventIsFound) {
    for (const bool waits : {true, false}) {
        std::string all_said[2];  // the rank tells of it whose wait meets it
        on_ranks(2, [&](Rank& rank, Comm& host) {
            const OnDevice<float> x(std::vector<float>(32, 1));
            const Stream other = memory().open_stream();
            Op("fill", other, {{"rows", 32}}).launch(Fill{x.data(), 5}, {});
            if (waits) memory().wait(other);
            EXPECT_EQ(rank.all_reduce(x, 32), ncclSuccess);
            std::string said = rank.wait();
            cudaDeviceSynchronize();
            if (said.empty()) said = rank.wait();
            host.barrier();
            if (waits) { EXPECT_EQ(rank.values(x), std::vector<float>(32, 10)); }
            all_said[rank.rank()] = said;
            host.barrier();
            memory().close_stream(other);
        });
        const std::string said = all_said[0] + all_said[1];
        EXPECT_EQ(has(said, "with no event between"), !waits) << said;
        EXPECT_EQ(said.empty(), waits) << said;
    }
}

TEST_F(Nccl, AWaitInWhichAllWaitIsAnError) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2});
        EXPECT_EQ(rank.queued(ncclRecv(x.data(), 8, ncclInt8, 1 - rank.rank(), rank.comm, rank.stream)), ncclSuccess);
        const std::string said = rank.wait();
        host.barrier();
        if (rank.rank() == 0) { EXPECT_TRUE(has(said, "NCCL would hang here: ncclRecv of 8 bytes")) << said; }
    });
}

TEST_F(Nccl, AWaitForARankThatHasGoneIsAnError) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        if (rank.rank() == 1) {
            EXPECT_EQ(ncclCommAbort(rank.leave()), ncclSuccess);
        } else {
            const OnDevice<float> x({1, 2});
            EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
            const std::string said = rank.wait();
            EXPECT_TRUE(has(said, "ncclAllReduce of 2 floats on communicator 'all' waits for rank 1")) << said;
        }
        host.barrier();
    });
}

TEST_F(Nccl, AWaitForARankThatDoesOtherThingsHasALimit) {
    emu::options().hang_seconds = 0.2;
    on_ranks(2, [](Rank& rank, Comm& host) {
        if (rank.rank() == 0) {
            const OnDevice<float> x({1, 2});
            EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
            EXPECT_TRUE(has(rank.wait(), "NCCL would hang here: "));
        }
        host.barrier();
    });
}

TEST_F(Nccl, CommunicatorsEndInOrderOnceAllHaveAskedForIt) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2});
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        EXPECT_EQ(ncclCommDestroy(rank.comm), ncclInvalidUsage) << "before it is finalized";
        host.barrier();
        if (rank.rank() == 0) {
            EXPECT_EQ(ncclCommFinalize(rank.comm), ncclInProgress);
            EXPECT_EQ(ncclCommDestroy(rank.comm), ncclInvalidUsage) << "before the other one finalizes it";
            ncclResult_t state = ncclSuccess;
            for (int i = 0; i < 10; i++) ncclCommGetAsyncError(rank.comm, &state);
            EXPECT_EQ(state, ncclInProgress);
        }
        host.barrier();
        if (rank.rank() == 1) { EXPECT_EQ(ncclCommFinalize(rank.comm), ncclInProgress); }
        EXPECT_EQ(Rank::settle(rank.comm), ncclSuccess);
        EXPECT_EQ(rank.values(x), (std::vector<float>{2, 4})) << "what was queued has run";
        EXPECT_EQ(ncclCommDestroy(rank.leave()), ncclSuccess);
    });
}

TEST_F(Nccl, ACommunicatorEndsAfterTheGraphsOfItsCollectives) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2});
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);  // connects
        const auto ends = [&] {
            ncclResult_t state = ncclInProgress;
            for (int i = 0; i < 10; i++) ncclCommGetAsyncError(rank.comm, &state);
            return state == ncclSuccess;
        };
        ASSERT_EQ(cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t exec = nullptr;
        ASSERT_EQ(cudaStreamEndCapture(rank.stream, &graph), cudaSuccess);
        ASSERT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
        EXPECT_EQ(cudaGraphLaunch(exec, rank.stream), cudaSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_EQ(ncclCommFinalize(rank.comm), ncclInProgress);
        host.barrier();
        EXPECT_FALSE(ends()) << "with a graph and what was made of it";
        EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
        EXPECT_FALSE(ends()) << "with what was made of it";
        EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
        EXPECT_TRUE(ends());
        EXPECT_EQ(rank.values(x), (std::vector<float>{4, 8}));
        EXPECT_EQ(ncclCommDestroy(rank.leave()), ncclSuccess);
    });
}

// Of a captured sum of both ranks' x: until an abort, which ends it at once.
TEST_F(Nccl, GraphsAskAnewEachTime) {
    on_ranks(2, [&](Rank& rank, Comm& host) {
        const OnDevice<float> x({1});
        EXPECT_EQ(rank.all_reduce(x, 1), ncclSuccess);  // which connects
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t exec = nullptr;
        ASSERT_EQ(cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
        EXPECT_EQ(rank.all_reduce(x, 1), ncclSuccess);
        ASSERT_EQ(cudaStreamEndCapture(rank.stream, &graph), cudaSuccess);
        EXPECT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
        EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
        EXPECT_EQ(rank.values(x)[0], 2);
        for (int i = 0; i < 2; i++) { EXPECT_EQ(cudaGraphLaunch(exec, rank.stream), cudaSuccess); }
        EXPECT_EQ(rank.values(x)[0], 8);
        host.barrier();
        EXPECT_EQ(ncclCommAbort(rank.leave()), ncclSuccess);
        EXPECT_EQ(cudaGraphLaunch(exec, rank.stream), cudaSuccess);
        EXPECT_EQ(rank.values(x)[0], 8);
        EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
    });
}

// Another thread looks at events without driving the stream, and ends what hangs.
TEST_F(Nccl, ARankThatStallsIsWaitedForUntilAnAbort) {
    emu::options().nccl_checks = false;  // else one is told so, once the other has ended
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2});
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        if (rank.rank() == 1) emu::nccl_fault(emu::NcclFault::stall);
        host.barrier();
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        cudaEvent_t event = nullptr;
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
        cudaEventRecord(event, rank.stream);
        const ncclComm_t comm = rank.leave();
        std::thread watcher([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
            ncclResult_t state = ncclInProgress;
            ncclCommGetAsyncError(comm, &state);
            EXPECT_EQ(state, ncclSuccess);
            ncclCommAbort(comm);
        });
        EXPECT_EQ(rank.wait(), "");
        watcher.join();
        EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
        EXPECT_EQ(rank.values(x), (std::vector<float>{2, 4}));
        cudaEventDestroy(event);
    });
}

TEST_F(Nccl, ARankCanBeSlowAndNcclCanTellOfAnError) {
    on_ranks(2, [](Rank& rank, Comm& host) {
        const OnDevice<float> x({1, 2});
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        if (rank.rank() == 1) emu::nccl_fault(emu::NcclFault::slow, 1, 0.3);
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        EXPECT_EQ(rank.wait(), "");
        EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
        EXPECT_EQ(rank.values(x), (std::vector<float>{8, 16}));
        host.barrier();
        if (rank.rank() == 1) emu::nccl_fault(emu::NcclFault::error);
        host.barrier();
        EXPECT_EQ(rank.all_reduce(x, 2), ncclSuccess);
        ncclResult_t state = ncclSuccess;
        ncclCommGetAsyncError(rank.comm, &state);
        EXPECT_EQ(state, rank.rank() == 1 ? ncclRemoteError : ncclSuccess);
        host.barrier();
        ncclCommAbort(rank.leave());
    });
}

}  // namespace
}  // namespace sluice
