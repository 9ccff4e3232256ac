// The execution model: threads, blocks, barriers, shuffles, shared memory, in every order.
#include <numeric>

#include "tests/emu/on_device.h"
#include "tests/emu/words.cuh"

namespace sluice {
namespace {

struct Order {
    emu::Order order;
    uint64_t seed;
};
const std::vector<Order> kOrders = {
    {emu::Order::forward, 0}, {emu::Order::reverse, 0}, {emu::Order::seeded, 1}, {emu::Order::seeded, 2}};

class Execution : public Emulator {};

template <class T>
struct RowSums {
    static constexpr int kThreads = 128;
    Global<T> y;
    Global<const T> x;
    int64_t width;
    DEVICE void operator()() const {
        float sum = 0;
        const auto row = x + block_x() * width;
        for (int64_t i = thread(); i < width; i += kThreads) sum += row[i];
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) y[block_x()] = T(sum);
    }
};

TEST_F(Execution, SumsOfRowsInEveryOrder) {
    std::vector<float> x(3 * 1000);
    std::iota(x.begin(), x.end(), 0.f);
    for (const auto& [order, seed] : kOrders) {
        emu::options().order = order;
        emu::options().seed = seed;
        const OnDevice<float> from(x), to({0, 0, 0});
        EXPECT_EQ(run(RowSums<float>{to.data(), from.data(), 1000}, {.grid = {3}}), "");
        EXPECT_EQ(to.values(), (std::vector<float>{499500, 1499500, 2499500}));
    }
}

TEST_F(Execution, EveryWordGivesTheSameInEveryOrder) {
    std::vector<float> x(6 * 64);
    for (size_t i = 0; i < x.size(); i++) x[i] = float(i % 7) - 2;
    std::vector<float> first;
    for (const auto& [order, seed] : kOrders) {
        emu::options().order = order;
        emu::options().seed = seed;
        const OnDevice<float> from(x), to(x);
        EXPECT_EQ(run(EveryWord<float>{to.data(), from.data(), from.data()}, {.grid = {3, 2}, .shared = 16 + 64 * 4}),
                  "");
        const auto y = to.values();
        if (first.empty()) first = y;
        EXPECT_EQ(y, first);
        for (const float v : y) EXPECT_TRUE(std::isfinite(v));
    }
}

struct Lanes {
    static constexpr int kThreads = 64;
    Global<int32_t> down, from_three, exchanged, votes;
    DEVICE void operator()() const {
        down[thread()] = shuffle_down(int32_t(thread()), 5);
        from_three[thread()] = shuffle(int32_t(thread()), 3);
        exchanged[thread()] = shuffle_xor(int32_t(thread()), 6);
        votes[thread()] = int32_t(ballot(lane() % 2 == 1));
    }
};

TEST_F(Execution, ShufflesAndVotesStayInTheirWarp) {
    const std::vector<int32_t> zeros(64);
    const OnDevice<int32_t> down(zeros), from_three(zeros), exchanged(zeros), votes(zeros);
    EXPECT_EQ(run(Lanes{down.data(), from_three.data(), exchanged.data(), votes.data()}), "");
    const auto d = down.values(), f = from_three.values(), e = exchanged.values(), v = votes.values();
    for (int t = 0; t < 64; t++) {
        const size_t i = size_t(t);
        EXPECT_EQ(d[i], t % 32 + 5 < 32 ? t + 5 : t);
        EXPECT_EQ(f[i], t / 32 * 32 + 3);
        EXPECT_EQ(e[i], t ^ 6);
        EXPECT_EQ(uint32_t(v[i]), 0xaaaaaaaau);
    }
}

struct Blocks {
    static constexpr int kThreads = 32;
    Global<int64_t> y;
    int64_t nx, ny;
    DEVICE void operator()() const {
        if (thread() == 0)
            y[block_x() + nx * (block_y() + ny * block_z())] = block_x() + 10 * block_y() + 100 * block_z();
    }
};

TEST_F(Execution, EveryBlockRunsOnceAndEdgesAlone) {
    const OnDevice<int64_t> all(std::vector<int64_t>(60, -1));
    emu::options().order = emu::Order::seeded;
    EXPECT_EQ(run(Blocks{all.data(), 3, 4}, {.grid = {3, 4, 5}}), "");
    const auto y = all.values();
    for (size_t i = 0; i < 60; i++) EXPECT_EQ(y[i], int64_t(i % 3 + 10 * (i / 3 % 4) + 100 * (i / 12)));

    emu::options().blocks = emu::Blocks::edges;
    const OnDevice<int64_t> edges(std::vector<int64_t>(60, -1));
    EXPECT_EQ(run(Blocks{edges.data(), 3, 4}, {.grid = {3, 4, 5}}), "");
    const auto z = edges.values();
    for (size_t i = 0; i < 60; i++) {
        const bool edge = i % 3 != 1 && (i / 3 % 4 == 0 || i / 3 % 4 == 3) && (i / 12 == 0 || i / 12 == 4);
        EXPECT_EQ(z[i] != -1, edge);
    }
}

TEST_F(Execution, AGridWithAZeroLaunchesNothing) { EXPECT_EQ(run(Blocks{nullptr, 3, 4}, {.grid = {3, 0, 1}}), ""); }

TEST_F(Execution, NothingRunsWhereOnlyLimitsAreChecked) {
    emu::options().blocks = emu::Blocks::none;
    EXPECT_EQ(run(Blocks{nullptr, 3, 4}, {.grid = {3, 4, 5}}), "");
    EXPECT_NE(run(Blocks{nullptr, 3, 4}, {.grid = {3, 70000, 5}}), "");
}

TEST_F(Execution, ScratchFollowsOneAnotherAndEnds) {
    const Op op("an_op", stream(), {{"rows", 3}});
    float* const a = op.scratch<float>(10);
    EXPECT_EQ(reinterpret_cast<char*>(op.scratch<float>(1)) - reinterpret_cast<char*>(a), 256);
    EXPECT_THROW(op.scratch<float>(int64_t{1} << 23), Failure);
}

}  // namespace
}  // namespace sluice
