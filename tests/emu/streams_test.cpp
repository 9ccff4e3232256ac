// Streams as queues, what is missing between them, and the memory of Cuda<T>.
#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/cuda/prim/runtime.h"
#include "kernels/emu/sanitizers.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

struct AddOne {
    static constexpr int kThreads = 32;
    Global<float> y;
    Global<const float> x;
    DEVICE void operator()() const { y[thread()] = float(x[thread()]) + 1; }
};

class Streams : public Emulator {
 protected:
    Streams() { EXPECT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess); }
    ~Streams() override {
        cudaEventDestroy(event_);
        memory().close_stream(other_);
    }
    static cudaStream_t handle(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }
    void launch(Stream stream, float* y, const float* x) const {
        Op("add_one", stream, {{"rows", 32}}).launch(AddOne{y, x}, {});
    }

    const Stream other_ = memory().open_stream();
    cudaEvent_t event_ = nullptr;
};

TEST_F(Streams, NothingRunsBeforeAWait) {
    emu::options().protect = false;
    const OnDevice<float> x(std::vector<float>(32, 1));
    launch(stream(), x.data(), x.data());
    EXPECT_EQ(*x.data(), 1);
    EXPECT_EQ(wait(), "");
    EXPECT_EQ(*x.data(), 2);
}

TEST_F(Streams, AMissingEventIsFoundInEveryOrder) {
    for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded})
        for (const bool record : {false, true}) {
            emu::options().order = order;
            const OnDevice<float> a(std::vector<float>(32, 1)), b(std::vector<float>(32)), c(std::vector<float>(32));
            launch(other_, b.data(), a.data());
            if (record) {
                EXPECT_EQ(cudaEventRecord(event_, handle(other_)), cudaSuccess);
                EXPECT_EQ(cudaStreamWaitEvent(handle(stream()), event_), cudaSuccess);
            }
            launch(stream(), c.data(), b.data());
            std::string said = wait();
            cudaDeviceSynchronize();
            if (said.empty()) said = wait();  // what ran late has met what ran early
            if (record) {
                EXPECT_EQ(said, "");
                EXPECT_EQ(c.values(), std::vector<float>(32, 3));
            } else {
                EXPECT_NE(said.find("AddOne on another stream"), said.npos) << said;
                EXPECT_NE(said.find("with no event between"), said.npos) << said;
            }
        }
}

TEST_F(Streams, WithoutChecksAMissingEventGivesWrongNumbers) {
    emu::options().checks = false;
    const OnDevice<float> a(std::vector<float>(32, 1)), b(std::vector<float>(32)), c(std::vector<float>(32));
    launch(other_, b.data(), a.data());
    launch(stream(), c.data(), b.data());
    EXPECT_EQ(c.values(stream()), std::vector<float>(32, 1));
}

TEST_F(Streams, TheHostsWaitOrdersToo) {
    const OnDevice<float> a(std::vector<float>(32, 1)), b(std::vector<float>(32)), c(std::vector<float>(32));
    launch(other_, b.data(), a.data());
    memory().wait(other_);
    launch(stream(), c.data(), b.data());
    EXPECT_EQ(wait(), "");
    launch(other_, b.data(), a.data());
    EXPECT_EQ(cudaEventRecord(event_, handle(other_)), cudaSuccess);
    EXPECT_EQ(cudaEventQuery(event_), cudaErrorNotReady);
    while (cudaEventQuery(event_) == cudaErrorNotReady) continue;
    launch(stream(), c.data(), b.data());
    EXPECT_EQ(wait(), "");
}

TEST_F(Streams, AStagingBufferUsedAgainTooEarly) {
    float* staging = nullptr;
    ASSERT_EQ(cudaMallocHost(&staging, 32 * sizeof(float)), cudaSuccess);
    const OnDevice<float> x(std::vector<float>(32));
    for (const bool early : {false, true}) {
        std::fill_n(staging, 32, 7.f);
        EXPECT_EQ(cudaMemcpyAsync(x.data(), staging, 128, cudaMemcpyHostToDevice, handle(stream())), cudaSuccess);
        if (!early) { EXPECT_EQ(wait(), ""); }
        staging[3] = 8;
        const std::string said = wait();
        EXPECT_EQ(said.find("a staging buffer used again too early") != said.npos, early) << said;
    }
    EXPECT_EQ(cudaFreeHost(staging), cudaSuccess);
}

TEST_F(Streams, PageableMemoryIsReadAtOnceAndWrittenBeforeTheCallReturns) {
    const OnDevice<float> x(std::vector<float>(32));
    std::vector<float> host(32, 3);
    EXPECT_EQ(cudaMemcpyAsync(x.data(), host.data(), 128, cudaMemcpyHostToDevice, handle(stream())), cudaSuccess);
    std::fill(host.begin(), host.end(), 4.f);
    EXPECT_EQ(cudaMemcpyAsync(host.data(), x.data(), 128, cudaMemcpyDeviceToHost, handle(stream())), cudaSuccess);
    EXPECT_EQ(host, std::vector<float>(32, 3));
}

TEST_F(Streams, CopiesOutOfBoundsAreRefused) {
    const OnDevice<float> x(std::vector<float>(32));
    std::vector<float> host(33);
    EXPECT_EQ(cudaMemcpyAsync(x.data(), host.data(), 132, cudaMemcpyHostToDevice, nullptr), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemsetAsync(x.data(), 0, 132, nullptr), cudaErrorInvalidValue);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(Streams, CopiesInAnotherDirectionThanTheirKindAreRefused) {
    const OnDevice<float> device(std::vector<float>(32)), other(std::vector<float>(32));
    std::vector<float> host(32);
    float* pinned = nullptr;
    ASSERT_EQ(cudaMallocHost(&pinned, 128), cudaSuccess);
    std::fill_n(pinned, 32, 0.f);
    const struct {
        void* to;
        const void* from;
        cudaMemcpyKind kind;
    } cases[] = {
        {host.data(), pinned, cudaMemcpyHostToHost},     {device.data(), host.data(), cudaMemcpyHostToDevice},
        {device.data(), pinned, cudaMemcpyHostToDevice}, {host.data(), device.data(), cudaMemcpyDeviceToHost},
        {pinned, device.data(), cudaMemcpyDeviceToHost}, {other.data(), device.data(), cudaMemcpyDeviceToDevice},
    };
    for (const auto& c : cases)
        for (const auto kind : {cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
                                cudaMemcpyDeviceToDevice, cudaMemcpyDefault}) {
            const cudaError_t error = cudaMemcpyAsync(c.to, c.from, 128, kind, handle(stream()));
            const bool right = kind == c.kind || kind == cudaMemcpyDefault;
            EXPECT_EQ(error, right ? cudaSuccess : cudaErrorInvalidValue) << "of " << c.kind << " as " << kind;
        }
    EXPECT_EQ(wait(), "");
    EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
    cudaGetLastError();
}

// ---------------------------------------------------------------- Memory
TEST_F(Streams, MemoryIsZeroAndComesBackAsItWasSent) {
    for (const size_t bytes : {size_t{4}, size_t{1000}, size_t{3} << 20, size_t{37} << 20}) {
        std::vector<char> sent(bytes), back(bytes, 1);
        for (size_t i = 0; i < bytes; i++) sent[i] = char(i * 7 / 3);
        void* p = memory().allocate(bytes);
        memory().to_host(stream(), back.data(), p, bytes);
        EXPECT_EQ(wait(), "");
        EXPECT_EQ(back, std::vector<char>(bytes));
        auto copy = sent;
        memory().to_device(stream(), p, copy.data(), bytes);
        std::fill(copy.begin(), copy.end(), 0);  // it was read before the call returned
        memory().to_host(stream(), back.data(), p, bytes);
        EXPECT_EQ(wait(), "");
        EXPECT_EQ(back, sent);
        memory().zero(stream(), p, bytes);
        memory().to_host(stream(), back.data(), p, bytes);
        EXPECT_EQ(wait(), "");
        EXPECT_EQ(back, std::vector<char>(bytes));
        memory().free(p);
    }
}

TEST_F(Streams, ManyBatchesGoWithoutAWait) {
    emu::options().protect = false;
    const OnDevice<float> x(std::vector<float>(32));
    const OnDevice<float> y(std::vector<float>(32));
    std::vector<float> batch(32);
    const int64_t before = memory().waits();
    for (int u = 0; u < 100; u++) {
        std::fill(batch.begin(), batch.end(), float(u));
        memory().to_device(stream(), x.data(), batch.data(), 128);
        launch(stream(), y.data(), x.data());
    }
    EXPECT_EQ(*y.data(), 0);  // nothing has run so far
    EXPECT_EQ(memory().waits(), before);
    EXPECT_EQ(y.values(stream()), std::vector<float>(32, 100));
}

template <class Index>
struct OnePerRow {
    static constexpr int kThreads = 32;
    Global<float> y;
    int64_t width;
    DEVICE void operator()() const {
        if (thread() == 0) y[Index(block_x() * width)] = 1;
    }
};
TEST_F(Streams, RealSizesAtTheEdges) {
    if (emu::kTsan) GTEST_SKIP() << "the thread sanitizer leaves too little room";
    emu::options().blocks = emu::Blocks::edges;
    emu::options().device_bytes = size_t{1} << 40;
    constexpr int64_t kRows = (1 << 15) + 1, kWidth = 1 << 16;  // the last row begins at element 2^31
    auto* const p = static_cast<float*>(memory().allocate(size_t(kRows * kWidth) * sizeof(float)));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(run(OnePerRow<int64_t>{p, kWidth}, {.grid = {kRows}}), "");
    EXPECT_NE(run(OnePerRow<int64_t>{p + kWidth, kWidth}, {.grid = {kRows}}).find("out of bounds"), std::string::npos);
    EXPECT_NE(run(OnePerRow<int32_t>{p, kWidth}, {.grid = {kRows}}).find("out of bounds"), std::string::npos);
    memory().free(p);
}

TEST_F(Streams, WhatNeighboursLeaveIsRoomForMore) {
    if (emu::kTsan) GTEST_SKIP() << "the thread sanitizer leaves too little room";
    emu::options().blocks = emu::Blocks::edges;
    emu::options().device_bytes = size_t{1} << 40;
    constexpr size_t kBytes = size_t{4} << 30;  // more than other tests leave
    for (const auto& [first, second, last] : {std::array{0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}}) {
        void* const all[] = {memory().allocate(kBytes), memory().allocate(kBytes), memory().allocate(kBytes)};
        memory().free(all[first]);
        memory().free(all[second]);
        void* const two = memory().allocate(2 * kBytes);
        EXPECT_EQ(two, std::min(all[first], all[second]));
        memory().free(two);
        memory().free(all[last]);
    }
}

TEST_F(Streams, OutOfMemoryIsNull) {
    size_t free = 0, total = 0;
    emu::options().device_bytes = size_t{200} << 20;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    EXPECT_EQ(total, size_t{200} << 20);
    EXPECT_EQ(memory().allocate(free + 1), nullptr);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    void* p = memory().allocate(free);
    EXPECT_NE(p, nullptr);
    EXPECT_THROW(memory().open_stream(), Failure);
    memory().free(p);
}

TEST_F(Streams, AFailedKernelDropsWhatFollowsAndTheNextLaunchRuns) {
    const OnDevice<float> x(std::vector<float>(32, 1)), y(std::vector<float>(32));
    launch(stream(), y.data() + 1, x.data());
    launch(stream(), x.data(), x.data());
    EXPECT_NE(wait(), "");
    EXPECT_EQ(x.values(), std::vector<float>(32, 1));
    launch(stream(), x.data(), x.data());
    EXPECT_EQ(wait(), "");
}

TEST_F(Streams, AnErrorNamesTheSixOpsQueuedLast) {
    const OnDevice<float> x(std::vector<float>(32, 1)), y(std::vector<float>(32));
    for (int64_t rows = 1; rows <= 8; rows++)
        Op("an_op", stream(), {{"rows", rows}}).launch(AddOne{x.data(), x.data()}, {});
    launch(stream(), y.data() + 1, x.data());
    Op("multiply", stream(), {}).queued("cublasLtMatmul");  // not by a kernel of ours
    const std::string told = wait();
    EXPECT_TRUE(told.starts_with("the device: add_one rows 32: AddOne block (0, 0, 0) thread 31: ")) << told;
    EXPECT_TRUE(
        told.ends_with("; queued last: multiply, add_one rows 32, an_op rows 8, an_op rows 7, an_op rows 6, "
                       "an_op rows 5"))
        << told;
}

// The host waits for each: the op that meets an error says so, and no other.
TEST_F(Streams, SynchronousLaunchesNameTheOpThatFails) {
    synchronise_launches(true);
    emu::options().protect = false;
    const OnDevice<float> x(std::vector<float>(32, 1)), y(std::vector<float>(32));
    launch(stream(), x.data(), x.data());
    EXPECT_EQ(*x.data(), 2);
    const auto message = [&](auto&& queue) -> std::string {
        try {
            queue();
        } catch (const Failure& failure) { return failure.what(); }
        return "";
    };
    const std::string told = message([&] { launch(stream(), y.data() + 1, x.data()); });
    EXPECT_TRUE(told.starts_with("add_one rows 32: AddOne: ")) << told;
    EXPECT_EQ(told.find("queued last"), told.npos) << told;
    EXPECT_EQ(wait(), "");
    emu::queue(stream().handle,
               {[] { return std::string("a call"); }, &typeid(AddOne), 32, {}, 0, AddOne{y.data() + 1, x.data()}});
    const std::string call = message([&] { Op("multiply", stream(), {}).queued("cublasLtMatmul"); });
    EXPECT_TRUE(call.starts_with("multiply: cublasLtMatmul: a call: ")) << call;
    synchronise_launches(false);
}

TEST_F(Streams, AThreadChoosesADevice) {
    emu::options().devices = 2;
    int device = -1;
    EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
    EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
    EXPECT_EQ(device, 1);
    EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
}

TEST_F(Streams, WhatOtherProgramsHaveIsNotFree) {
    emu::options().device_bytes = size_t{200} << 20;
    emu::options().taken_bytes = size_t{50} << 20;
    size_t before = 0, total = 0;
    EXPECT_EQ(cudaMemGetInfo(&before, &total), cudaSuccess);
    EXPECT_LE(before, size_t{150} << 20);
    EXPECT_EQ(memory().allocate(before + 1), nullptr);
    emu::options().taken_bytes = size_t{200} << 20;
    EXPECT_EQ(cudaSetDevice(0), cudaErrorMemoryAllocation);
    cudaGetLastError();
}

using StreamsDeathTest = Streams;
TEST_F(StreamsDeathTest, HostReadOfDeviceMemory) {
    if (emu::kTsan) GTEST_SKIP() << "the thread sanitizer forbids what the handler calls";
    EXPECT_DEATH(
        {
            emu::options().protect = true;
            const OnDevice<float> x(std::vector<float>(32, 1));
            launch(stream(), x.data(), x.data());
            EXPECT_EQ(wait(), "");
            EXPECT_EQ(x.values(stream()), std::vector<float>(32, 2));
            std::fputs(*x.data() == 2 ? "read" : "", stderr);
        },
        "^host read of device memory at 0x[0-9a-f]+, tests/emu/streams_test.cpp:[0-9]+");
    EXPECT_DEATH(
        {
            emu::options().protect = true;
            const OnDevice<float> x(std::vector<float>(32, 1));
            *x.data() = 1;
        },
        "^host write of device memory at 0x[0-9a-f]+, tests/emu/streams_test.cpp:[0-9]+");
}

}  // namespace
}  // namespace sluice
