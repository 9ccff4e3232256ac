// Planted bugs of kernels: each is found, by name, with the line that did it.
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/emu/sanitizers.h"
#include "kernels/emu/traffic.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

class Found : public Emulator {
 protected:
    // Runs a kernel in every order, each of which must say `what`, at a line of this file where `line` is not 0.
    template <class K>
    void finds(const K& kernel, const std::string& what, int line = 0, const LaunchShape& shape = {}) {
        for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
            emu::options().order = order;
            const std::string said = run(kernel, shape);
            EXPECT_NE(said.find(what), said.npos) << "said: " << said;
            EXPECT_NE(said.find("an_op rows 3: "), said.npos) << said;
            if (line > 0) {
                EXPECT_NE(said.find("tests/emu/found_test.cpp:" + std::to_string(line)), said.npos) << "said: " << said;
            }
        }
        emu::options().order = emu::Order::forward;
    }
    // The same in one order.
    template <class K>
    void says(emu::Order order, const K& kernel, const std::string& what) {
        emu::options().order = order;
        const std::string said = run(kernel);
        EXPECT_NE(said.find(what), said.npos) << "said: " << said;
        emu::options().order = emu::Order::forward;
    }
};

struct OutOfBounds {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 3;
    Global<float> y;
    Global<const float> x;
    DEVICE void operator()() const { y[thread()] = x[thread() + 1]; }
};
TEST_F(Found, OutOfBounds) {
    const OnDevice<float> x(std::vector<float>(32)), y(std::vector<float>(32));
    finds(OutOfBounds{y.data(), x.data()}, "OutOfBounds block (0, 0, 0) thread 31: reads 4 bytes at ",
          OutOfBounds::kLine);
    finds(OutOfBounds{y.data(), x.data()}, "ending 4 bytes behind the end of an allocation of 128 bytes");
}

struct HostMemory {
    static constexpr int kThreads = 32;
    Global<float> y;
    DEVICE void operator()() const { y[thread()] = 1; }
};
TEST_F(Found, MemoryOfTheHost) {
    std::vector<float> y(32);
    finds(HostMemory{y.data()}, "which is no device memory", 0);
}

struct SharedOutOfBounds {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 5;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        SHARED(float, behind, kThreads);
        s[thread() + 1] = 1;
        behind[thread()] = 1;
    }
};
TEST_F(Found, OutOfBoundsOfSharedMemory) {
    finds(SharedOutOfBounds{nullptr}, "out of bounds of every shared array", SharedOutOfBounds::kLine);
}

struct ReadAfterWrite {
    static constexpr int kThreads = 64;
    static constexpr int kLine = __LINE__ + 5;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        s[thread()] = float(thread());
        y[thread()] = s[thread() ^ 32];
    }
};
TEST_F(Found, NoBarrierReadAfterWrite) {
    const OnDevice<float> y(std::vector<float>(64));
    // The first thread finds nothing written yet, and says so.
    for (const auto order : {emu::Order::forward, emu::Order::reverse}) {
        emu::options().order = order;
        const std::string said = run(ReadAfterWrite{y.data()});
        EXPECT_NE(said.find("uninitialised"), said.npos) << said;
        EXPECT_NE(said.find("found_test.cpp:" + std::to_string(ReadAfterWrite::kLine)), said.npos) << said;
    }
}

template <bool kBarrier>
struct ReadAfterSecondWrite {
    static constexpr int kThreads = 64;
    static constexpr int kLine = __LINE__ + 6;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        s[thread()] = 0;
        block_barrier();
        if (thread() < 32) s[thread()] = float(thread());
        if (kBarrier) block_barrier();
        y[thread()] = s[thread() % 32];
    }
};
TEST_F(Found, NoBarrierReadAfterASecondWrite) {
    const OnDevice<float> y(std::vector<float>(64));
    finds(ReadAfterSecondWrite<false>{y.data()}, "with no barrier between (");
    emu::options().order = emu::Order::reverse;
    const std::string said = run(ReadAfterSecondWrite<false>{y.data()});
    EXPECT_NE(said.find("(read after write)"), said.npos) << said;
    EXPECT_NE(said.find("wrote at tests/emu/found_test.cpp:" + std::to_string(ReadAfterSecondWrite<false>::kLine)),
              said.npos)
        << said;
    EXPECT_EQ(run(ReadAfterSecondWrite<true>{y.data()}), "");
}

template <bool kBarrier>
struct WriteAfterRead {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        s[thread()] = float(thread());
        block_barrier();
        const float v = s[thread() ^ 32];
        if (kBarrier) block_barrier();
        s[thread()] = v;
        block_barrier();
        y[thread()] = s[thread()];
    }
};
TEST_F(Found, NoBarrierWriteAfterRead) {
    const OnDevice<float> y(std::vector<float>(64));
    finds(WriteAfterRead<false>{y.data()}, "with no barrier between (", 0);
    emu::options().order = emu::Order::forward;
    const std::string said = run(WriteAfterRead<false>{y.data()});
    EXPECT_NE(said.find("no barrier between (read after write)"), said.npos) << said;
    EXPECT_EQ(run(WriteAfterRead<true>{y.data()}), "");
}

template <bool kBarrier>
struct WriteAfterManyRead {
    static constexpr int kThreads = 96;
    static constexpr int kLine = __LINE__ + 9;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, 1);
        if (thread() == 0) s[0] = 7;
        block_barrier();
        y[thread()] = float(s[0]);
        if (kBarrier) block_barrier();
        // The lane whose turn is last.
        if (thread() == 64) s[0] = 8;
    }
};
TEST_F(Found, NoBarrierWriteAfterManyRead) {
    const OnDevice<float> y(std::vector<float>(96));
    const std::string said = run(WriteAfterManyRead<false>{y.data()});
    EXPECT_NE(said.find("(write after read)"), said.npos) << said;
    EXPECT_NE(said.find("found_test.cpp:" + std::to_string(WriteAfterManyRead<false>::kLine)), said.npos) << said;
    finds(WriteAfterManyRead<false>{y.data()}, "with no barrier between (");
    EXPECT_EQ(run(WriteAfterManyRead<true>{y.data()}), "");
}

template <bool kBarrier>
struct WriteAfterOneRead {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, 1);
        if (thread() == 0) s[0] = 7;
        block_barrier();
        if (thread() == 1) y[0] = float(s[0]);
        if (kBarrier) block_barrier();
        if (thread() == 32) s[0] = 8;
    }
};
TEST_F(Found, NoBarrierWriteAfterOneRead) {
    const OnDevice<float> y(std::vector<float>(1));
    const std::string said = run(WriteAfterOneRead<false>{y.data()});
    EXPECT_NE(said.find("that thread 1 read at"), said.npos) << said;
    EXPECT_NE(said.find("(write after read)"), said.npos) << said;
    finds(WriteAfterOneRead<false>{y.data()}, "with no barrier between (");
    EXPECT_EQ(run(WriteAfterOneRead<true>{y.data()}), "");
}

struct WriteAfterWrite {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, 1);
        s[0] = 7;
    }
};
TEST_F(Found, NoBarrierWriteAfterWrite) { finds(WriteAfterWrite{nullptr}, "(write after write)"); }

// Between lanes a warp_barrier orders, a shuffle does not.
template <bool kBarrier>
struct LaneAfterLane {
    static constexpr int kThreads = 32;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        s[thread()] = float(thread());
        if (kBarrier)
            warp_barrier();
        else
            (void)shuffle(1.f, 0);
        y[thread()] = s[thread() ^ 1];
    }
};
TEST_F(Found, AShuffleIsNoBarrier) {
    const OnDevice<float> y(std::vector<float>(32));
    finds(LaneAfterLane<false>{y.data()}, "(read after write)");
    EXPECT_EQ(run(LaneAfterLane<true>{y.data()}), "");
}

struct Uninitialised {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 6;
    Global<float> y;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads);
        if (thread() > 0) s[thread()] = 1;
        block_barrier();
        y[thread()] = s[thread()];
    }
};
TEST_F(Found, UninitialisedSharedMemory) {
    const OnDevice<float> y(std::vector<float>(32));
    finds(Uninitialised{y.data()}, "thread 0: reads shared memory that was not written in this block (uninitialised)",
          Uninitialised::kLine);
}

struct Misaligned {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 3;
    Global<float> y;
    Global<const float> x;
    DEVICE void operator()() const { store(y + 4 * thread(), load<4>(x + 4 * thread() + 1)); }
};
TEST_F(Found, MisalignedVector) {
    const OnDevice<float> x(std::vector<float>(132)), y(std::vector<float>(132));
    finds(Misaligned{y.data(), x.data()}, ": misaligned", Misaligned::kLine);
}

struct Span {
    int64_t begin;
    float decay;
    int32_t count[3];
};
struct ReadsSpans {
    static constexpr int kThreads = 32;
    Global<int64_t> y;
    Global<const Span> spans;
    DEVICE void operator()() const {
        const Span span = spans[thread() % 2];
        y[thread()] = span.begin;
    }
};
TEST_F(Found, AStructIsAlignedAsItsMembers) {
    const OnDevice<Span> spans({{}, {7, 0, {}}, {}});
    const OnDevice<int64_t> y(std::vector<int64_t>(32));
    EXPECT_EQ(run(ReadsSpans{y.data(), spans.data()}), "");
    EXPECT_EQ(y.values()[1], 7);
    const auto* off = reinterpret_cast<const Span*>(reinterpret_cast<const char*>(spans.data()) + 4);
    finds(ReadsSpans{y.data(), off}, "reads 24 bytes at ");
    finds(ReadsSpans{y.data(), off}, ": misaligned");
}

struct DivergentShuffle {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 3;
    Global<float> y;
    DEVICE void operator()() const {
        if (thread() < 31) y[thread()] = shuffle_xor(1.f, 1);
    }
};
TEST_F(Found, DivergentShuffle) {
    const OnDevice<float> y(std::vector<float>(32));
    finds(DivergentShuffle{y.data()}, "shuffle_xor", DivergentShuffle::kLine);
    says(emu::Order::forward, DivergentShuffle{y.data()},
         "thread 31: returns, and other lanes of its warp wait in shuffle_xor at ");
    says(emu::Order::reverse, DivergentShuffle{y.data()},
         "thread 30: waits in shuffle_xor, and 1 lanes of its warp have returned");
}

struct LaneAtBarrier {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        if (lane() == 0) block_barrier();
        y[thread()] = warp_sum(1.f);
        if (lane() != 0) block_barrier();
    }
};
TEST_F(Found, ALaneThatWaitsElsewhere) {
    const OnDevice<float> y(std::vector<float>(64));
    says(emu::Order::forward, LaneAtBarrier{y.data()},
         "thread 1: waits in shuffle_xor, and other lanes of its warp wait in block_barrier at ");
    says(emu::Order::reverse, LaneAtBarrier{y.data()},
         "thread 32: waits in block_barrier, and other lanes of its warp wait in shuffle_xor at ");
}

struct TwoSites {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        if (warp() == 0)
            block_barrier();
        else
            block_barrier();
    }
};
TEST_F(Found, BarrierAtTwoPlaces) {
    finds(TwoSites{nullptr}, "waits in block_barrier, and others wait in another one at tests/emu/found_test.cpp:");
}

struct Returned {
    static constexpr int kThreads = 64;
    Global<float> y;
    DEVICE void operator()() const {
        if (warp() == 1) return;
        block_barrier();
    }
};
TEST_F(Found, BarrierThatSomeReturnedBefore) {
    says(emu::Order::forward, Returned{nullptr}, "thread 32: returns, and others wait in block_barrier at ");
    says(emu::Order::reverse, Returned{nullptr}, "thread 31: waits in block_barrier, and 32 threads have returned");
}

// Blocks of one launch run in any order, and at the same time.
struct BlocksRace {
    static constexpr int kThreads = 32;
    Global<float> y;
    int64_t shift;
    DEVICE void operator()() const { y[thread() + 32 * block_x()] = y[(thread() + 32 * block_x() + shift) % 64]; }
};
TEST_F(Found, RaceBetweenBlocks) {
    const OnDevice<float> y(std::vector<float>(64));
    finds(BlocksRace{y.data(), 32}, "of the same launch", 0, {.grid = {2}});
    EXPECT_EQ(run(BlocksRace{y.data(), 0}, {.grid = {2}}), "");
}

// Threads of one block at one word of device memory, which the emulator itself does not see. The thread sanitizer does.
template <bool kBarrier>
struct ThreadsRace {
    static constexpr int kThreads = 64;
    static constexpr int kLine = __LINE__ + 5;
    Global<float> y;
    DEVICE void operator()() const {
        if (thread() == 0) y[0] = 1;
        if (kBarrier) block_barrier();
        if (thread() == 32) y[1] = y[0];
    }
};
using FoundDeathTest = Found;
TEST_F(FoundDeathTest, RaceBetweenThreadsOnDeviceMemory) {
    if (!emu::kTsan) GTEST_SKIP() << "needs the thread sanitizer";
    const OnDevice<float> y(std::vector<float>(64));
    const auto end_of = [&](const auto& kernel) {
        const std::string said = run(kernel);
        std::fputs(said.c_str(), stderr);
        std::exit(said.empty() ? 0 : 1);
    };
    EXPECT_EXIT(end_of(ThreadsRace<true>{y.data()}), testing::ExitedWithCode(0), "");
    EXPECT_EXIT(end_of(ThreadsRace<false>{y.data()}), testing::ExitedWithCode(66),
                "data race.*Read of size 4.*found_test.cpp:" + std::to_string(ThreadsRace<false>::kLine));
}

template <int N>
struct Threads {
    static constexpr int kThreads = N;
    DEVICE void operator()() const {}
};
TEST_F(Found, TooManyThreads) {
    finds(Threads<2048>{}, "2048 threads a block");
    finds(Threads<48>{}, "48 threads a block");
}

template <int kFloats>
struct StaticShared {
    static constexpr int kThreads = 32;
    DEVICE void operator()() const {
        SHARED(float, s, kFloats);
        s[thread()] = 1;
    }
};
TEST_F(Found, TooMuchSharedMemory) {
    finds(Threads<32>{}, "bytes of dynamic shared memory: at most 166912", 0, {.shared = 163 * 1024 + 1});
    EXPECT_EQ(run(Threads<32>{}, {.shared = 163 * 1024}), "");
    finds(StaticShared<12289>{}, "49156 bytes of static and 0 of dynamic shared memory: at most 49152 static");
    finds(StaticShared<12289>{}, "at most 49152 static", 0, {.shared = 50 * 1024});
    finds(StaticShared<12288>{}, "at most 49152 together", 0, {.shared = 4});
    EXPECT_EQ(run(StaticShared<12288>{}), "");
    finds(StaticShared<12288>{}, "at most 166912 together", 0, {.shared = 163 * 1024 - 12288 * 4 + 4});
}
TEST_F(Found, TooLargeAGrid) {
    finds(Threads<32>{}, "blocks: at most 2147483647 x 65535 x 65535", 0, {.grid = {1, 65536, 1}});
    finds(Threads<32>{}, "blocks: at most 2147483647 x 65535 x 65535", 0, {.grid = {int64_t{1} << 31, 1, 1}});
}

template <int kStride>
struct Copies {
    static constexpr int kThreads = 64;
    Global<float> y;
    Global<const float> x;
    DEVICE void operator()() const { y[thread()] = float(x[thread() * kStride]); }
};
TEST_F(Found, UncoalescedAccess) {
    const OnDevice<float> x(std::vector<float>(64 * 8)), y(std::vector<float>(64));
    emu::options().traffic = true;
    emu::traffic().clear();
    EXPECT_EQ(run(Copies<1>{y.data(), x.data()}), "");
    EXPECT_EQ(run(Copies<8>{y.data(), x.data()}), "");
    const emu::Traffic& good = emu::traffic().at("Copies<1>");
    EXPECT_EQ(good.launches, 1);
    EXPECT_EQ(good.loaded, 64 * 4);
    EXPECT_EQ(good.stored, 64 * 4);
    EXPECT_EQ(good.sectors, 16);
    EXPECT_EQ(good.least_sectors, 16);
    const emu::Traffic& bad = emu::traffic().at("Copies<8>");
    EXPECT_EQ(bad.loaded, 64 * 4);
    EXPECT_EQ(bad.sectors, 8 + 64);
    EXPECT_EQ(bad.least_sectors, 16);
}

template <int kStride>
struct Banks {
    static constexpr int kThreads = 32;
    DEVICE void operator()() const {
        SHARED(float, s, kThreads* kStride);
        s[thread() * kStride] = 1;
    }
};
TEST_F(Found, BankConflicts) {
    emu::options().traffic = true;
    emu::traffic().clear();
    EXPECT_EQ(run(Banks<1>{}), "");
    EXPECT_EQ(run(Banks<33>{}), "");
    EXPECT_EQ(run(Banks<32>{}), "");
    EXPECT_EQ(emu::traffic().at("Banks<1>").bank_conflicts, 0);
    EXPECT_EQ(emu::traffic().at("Banks<33>").bank_conflicts, 0);
    EXPECT_EQ(emu::traffic().at("Banks<32>").bank_conflicts, 31);
    EXPECT_EQ(emu::traffic().at("Banks<32>").shared_accesses, 1);
}

}  // namespace
}  // namespace sluice
