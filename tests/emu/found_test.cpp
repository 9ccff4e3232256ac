// Planted bugs of kernels: each is found, by name, with the line that did it.
#include "tests/emu/found.h"

#include "kernels/cuda/prim/host_store.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/emu/traffic.h"

namespace sluice {
namespace {

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

struct HostStore {
    static constexpr int kThreads = 32;
    static constexpr int kLine = __LINE__ + 2;
    int64_t* to;
    DEVICE void operator()() const { store_for_host(to, 1); }
};
TEST_F(Found, StoresForTheHostThatAreNotPinned) {
    int64_t pageable = 0;
    finds(HostStore{&pageable}, "of the host, which are not pinned", HostStore::kLine);
    int64_t* pinned = nullptr;
    ASSERT_EQ(cudaMallocHost(&pinned, sizeof *pinned), cudaSuccess);
    finds(HostStore{pinned + 1}, "of the host, which are not pinned", HostStore::kLine);
    EXPECT_EQ(run(HostStore{pinned}), "");
    EXPECT_EQ(*pinned, 1);
    cudaFreeHost(pinned);
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
