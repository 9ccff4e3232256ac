// Captured work, and what may not be captured.
#include <thread>

#include "kernels/cuda/prim/runtime.h"
#include "tests/emu/on_device.h"

namespace sluice {
namespace {

struct AddTo {
    static constexpr int kThreads = 32;
    Global<float> y;
    Global<const float> x;
    DEVICE void operator()() const { y[thread()] = float(y[thread()]) + float(x[thread()]); }
};

class Graphs : public Emulator {
 protected:
    Graphs() { EXPECT_EQ(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), cudaSuccess); }
    ~Graphs() override {
        if (exec_) cudaGraphExecDestroy(exec_);
        cudaEventDestroy(event_);
        memory().close_stream(other_);
    }
    static cudaStream_t handle(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }
    void add(Stream stream, const OnDevice<float>& y, const OnDevice<float>& x) const {
        Op("add", stream, {{"rows", 32}}).launch(AddTo{y.data(), x.data()}, {});
    }
    void begin() { ASSERT_EQ(cudaStreamBeginCapture(handle(stream()), cudaStreamCaptureModeThreadLocal), cudaSuccess); }
    cudaError_t end() {
        cudaGraph_t graph = nullptr;
        const cudaError_t error = cudaStreamEndCapture(handle(stream()), &graph);
        EXPECT_EQ(graph != nullptr, error == cudaSuccess);
        if (graph) { EXPECT_EQ(cudaGraphInstantiate(&exec_, graph), cudaSuccess); }
        cudaGraphDestroy(graph);
        cudaGetLastError();
        return error;
    }
    // `later` goes on after what `earlier` was given.
    void order(Stream later, Stream earlier) {
        EXPECT_EQ(cudaEventRecord(event_, handle(earlier)), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(handle(later), event_), cudaSuccess);
    }

    const Stream other_ = memory().open_stream();
    cudaEvent_t event_ = nullptr;
    cudaGraphExec_t exec_ = nullptr;
    const OnDevice<float> a_{std::vector<float>(32, 1)}, b_{std::vector<float>(32)}, c_{std::vector<float>(32)};
};

TEST_F(Graphs, RunOnlyAsTheyAreLaunched) {
    begin();
    add(stream(), b_, a_);
    ASSERT_EQ(end(), cudaSuccess);
    EXPECT_EQ(b_.values(stream()), std::vector<float>(32, 0));
    for (int i = 1; i < 4; i++) {
        EXPECT_EQ(cudaGraphLaunch(exec_, handle(stream())), cudaSuccess);
        EXPECT_EQ(b_.values(stream()), std::vector<float>(32, float(i)));
    }
    EXPECT_EQ(cudaGraphLaunch(exec_, handle(other_)), cudaSuccess);  // on another stream than it was captured on
    EXPECT_EQ(b_.values(other_), std::vector<float>(32, 4));
}

TEST_F(Graphs, StreamsThatJoinKeepTheirOrder) {
    for (const auto turns : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded})
        for (const bool joins : {true, false}) {
            emu::options().order = turns;
            begin();
            add(stream(), b_, a_);
            order(other_, stream());
            add(other_, c_, b_);
            if (joins) order(stream(), other_);
            if (!joins) {
                EXPECT_EQ(end(), cudaErrorStreamCaptureUnjoined);
                continue;
            }
            add(stream(), b_, c_);
            ASSERT_EQ(end(), cudaSuccess);
            EXPECT_EQ(cudaMemsetAsync(b_.data(), 0, 128, handle(stream())), cudaSuccess);
            EXPECT_EQ(cudaMemsetAsync(c_.data(), 0, 128, handle(stream())), cudaSuccess);
            for (int i = 0; i < 2; i++) { EXPECT_EQ(cudaGraphLaunch(exec_, handle(stream())), cudaSuccess); }
            EXPECT_EQ(b_.values(stream()), std::vector<float>(32, 7));
            EXPECT_EQ(c_.values(stream()), std::vector<float>(32, 4));
            EXPECT_EQ(cudaGraphExecDestroy(std::exchange(exec_, nullptr)), cudaSuccess);
        }
}

TEST_F(Graphs, AMissingEventWithinIsFoundAtALaunch) {
    begin();
    order(other_, stream());
    add(stream(), b_, a_);
    add(other_, c_, b_);  // which nothing orders
    order(stream(), other_);
    ASSERT_EQ(end(), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(exec_, handle(stream())), cudaSuccess);
    const std::string said = wait();
    EXPECT_NE(said.find("AddTo on another stream"), said.npos) << said;
}

TEST_F(Graphs, OtherThreadsMayWaitDuringACapture) {
    add(other_, c_, a_);
    EXPECT_EQ(cudaEventRecord(event_, handle(other_)), cudaSuccess);
    begin();
    add(stream(), b_, a_);
    std::thread([&] {
        EXPECT_EQ(cudaEventSynchronize(event_), cudaSuccess);
        EXPECT_EQ(cudaEventQuery(event_), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(handle(other_)), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(handle(stream())), cudaErrorStreamCaptureUnsupported)
            << "but for what it holds";
    }).join();
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    begin();
    add(stream(), b_, a_);
    std::thread([&] { EXPECT_EQ(cudaEventQuery(event_), cudaSuccess); }).join();
    EXPECT_EQ(end(), cudaSuccess);
}

TEST_F(Graphs, WhatMayNotBeCapturedSpoilsTheCapture) {
    std::vector<float> host(32);
    void* p = nullptr;
    const cudaStream_t captured = handle(stream());
    OnDevice<float> kept(std::vector<float>(32));
    EXPECT_EQ(cudaEventRecord(event_, handle(other_)), cudaSuccess);
    const std::vector<std::function<cudaError_t()>> calls{
        [&] { return cudaStreamSynchronize(captured); },
        [&] { return cudaStreamSynchronize(handle(other_)); },  // and what has nothing to do with the capture
        [&] { return cudaStreamSynchronize(nullptr); },
        [&] { return cudaEventSynchronize(event_); },
        [&] { return cudaEventQuery(event_); },
        [&] { return cudaDeviceSynchronize(); },
        [&] { return cudaMalloc(&p, 64); },
        [&] { return cudaMallocHost(&p, 64); },
        [&] { return cudaFree(kept.data()); },
        [&] { return cudaMemcpyAsync(b_.data(), host.data(), 128, cudaMemcpyHostToDevice, captured); },
        [&] { return cudaMemcpyAsync(host.data(), b_.data(), 128, cudaMemcpyDeviceToHost, captured); },
        [&] { return cudaStreamDestroy(captured); },
    };
    for (size_t i = 0; i < calls.size(); i++) {
        SCOPED_TRACE(i);
        begin();
        EXPECT_EQ(calls[i](), cudaErrorStreamCaptureUnsupported);
        cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
        EXPECT_EQ(cudaStreamIsCapturing(captured, &status), cudaSuccess);
        EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
        EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
        EXPECT_EQ(cudaStreamIsCapturing(captured, &status), cudaSuccess);
        EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    }
    begin();  // of an event from outside
    EXPECT_EQ(cudaEventRecord(event_, handle(other_)), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(captured, event_), cudaErrorStreamCaptureIsolation);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    begin();  // and of one within
    EXPECT_EQ(cudaEventRecord(event_, captured), cudaSuccess);
    EXPECT_EQ(cudaEventQuery(event_), cudaErrorCapturedEvent);
    EXPECT_EQ(cudaEventSynchronize(event_), cudaErrorCapturedEvent);
    EXPECT_EQ(cudaStreamBeginCapture(captured, cudaStreamCaptureModeThreadLocal), cudaErrorInvalidValue);
    EXPECT_EQ(end(), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(handle(other_), event_), cudaErrorInvalidValue);
    EXPECT_EQ(end(), cudaErrorStreamCaptureUnmatched);
    EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(wait(), "");
}

}  // namespace
}  // namespace sluice
