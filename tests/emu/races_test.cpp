// Planted races of kernels: threads that meet at a word with no barrier between them, and blocks that do.
#include "kernels/emu/sanitizers.h"
#include "tests/emu/found.h"

namespace sluice {
namespace {

using Races = Found;

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
TEST_F(Races, NoBarrierReadAfterWrite) {
    const OnDevice<float> y(std::vector<float>(64));
    // The first thread finds nothing written yet, and says so.
    for (const auto order : {emu::Order::forward, emu::Order::reverse}) {
        emu::options().order = order;
        const std::string said = run(ReadAfterWrite{y.data()});
        EXPECT_NE(said.find("uninitialised"), said.npos) << said;
        EXPECT_NE(said.find(place(ReadAfterWrite::kLine)), said.npos) << said;
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
TEST_F(Races, NoBarrierReadAfterASecondWrite) {
    const OnDevice<float> y(std::vector<float>(64));
    finds(ReadAfterSecondWrite<false>{y.data()}, "with no barrier between (");
    emu::options().order = emu::Order::reverse;
    const std::string said = run(ReadAfterSecondWrite<false>{y.data()});
    EXPECT_NE(said.find("(read after write)"), said.npos) << said;
    EXPECT_NE(said.find("wrote at tests/emu/" + place(ReadAfterSecondWrite<false>::kLine)), said.npos) << said;
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
TEST_F(Races, NoBarrierWriteAfterRead) {
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
TEST_F(Races, NoBarrierWriteAfterManyRead) {
    const OnDevice<float> y(std::vector<float>(96));
    const std::string said = run(WriteAfterManyRead<false>{y.data()});
    EXPECT_NE(said.find("(write after read)"), said.npos) << said;
    EXPECT_NE(said.find(place(WriteAfterManyRead<false>::kLine)), said.npos) << said;
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
TEST_F(Races, NoBarrierWriteAfterOneRead) {
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
TEST_F(Races, NoBarrierWriteAfterWrite) { finds(WriteAfterWrite{nullptr}, "(write after write)"); }

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
TEST_F(Races, AShuffleIsNoBarrier) {
    const OnDevice<float> y(std::vector<float>(32));
    finds(LaneAfterLane<false>{y.data()}, "(read after write)");
    EXPECT_EQ(run(LaneAfterLane<true>{y.data()}), "");
}

// Blocks of one launch run in any order, and at the same time.
struct BlocksRace {
    static constexpr int kThreads = 32;
    Global<float> y;
    int64_t shift;
    DEVICE void operator()() const { y[thread() + 32 * block_x()] = y[(thread() + 32 * block_x() + shift) % 64]; }
};
TEST_F(Races, RaceBetweenBlocks) {
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
using RacesDeathTest = Races;
TEST_F(RacesDeathTest, RaceBetweenThreadsOnDeviceMemory) {
    if (!emu::kTsan) GTEST_SKIP() << "needs the thread sanitizer";
    const OnDevice<float> y(std::vector<float>(64));
    const auto end_of = [&](const auto& kernel) {
        const std::string said = run(kernel);
        std::fputs(said.c_str(), stderr);
        std::exit(said.empty() ? 0 : 1);
    };
    EXPECT_EXIT(end_of(ThreadsRace<true>{y.data()}), testing::ExitedWithCode(0), "");
    EXPECT_EXIT(end_of(ThreadsRace<false>{y.data()}), testing::ExitedWithCode(66),
                "data race.*Read of size 4.*" + place(ThreadsRace<false>::kLine));
}

}  // namespace
}  // namespace sluice
