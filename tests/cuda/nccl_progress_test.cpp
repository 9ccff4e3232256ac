// Which collective a rank is said to be in, by what its streams have come to. The emulator runs nothing before the host
// waits for it, and one piece each time that it asks an event.
#include "kernels/cuda/nccl_progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "kernels/cuda/prim/host.h"
#include "kernels/emu/emu.h"
#include "kernels/memory.h"

namespace sluice {
namespace {

using B = Cuda<float>;
using Names = std::vector<std::string>;

class NcclProgressed : public testing::Test {
 protected:
    NcclProgressed() {
        for (cudaEvent_t* event : {&order_, &end_}) cudaEventCreateWithFlags(event, cudaEventDisableTiming);
    }
    ~NcclProgressed() override {
        cudaStreamSynchronize(stream_);
        cudaGraphExecDestroy(graph_);
        for (cudaEvent_t event : {order_, end_}) cudaEventDestroy(event);
    }

    void compute(cudaStream_t stream) { cudaMemsetAsync(owner_.get().scratch, 0, 64, stream); }
    void compute() { compute(stream_); }
    void collective(const char* what, const char* group) {
        queue({0, owner_.get(), false, what, step_}, group, stream_);
    }
    void collective_aside(const char* what, const char* group) {
        wait_for(stream_, aside_);
        queue({0, owner_.get(), true, what, step_}, group, aside_);
    }
    void finish() {
        wait_for(aside_, stream_);
        progress_.join({0, owner_.get(), false, "finish", step_}, "data", stream_);
    }
    template <class F>
    void capture(F what) {
        cudaGraph_t graph = nullptr;
        cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
        what();
        ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
        ASSERT_EQ(cudaGraphInstantiate(&graph_, graph, 0), cudaSuccess);
        cudaGraphDestroy(graph);
    }
    void launch() { ASSERT_EQ(cudaGraphLaunch(graph_, stream_), cudaSuccess); }

    // As the watching thread finds it; there nothing runs for being looked at.
    std::optional<NcclWork> current() {
        return std::async(std::launch::async, [&] { return progress_.current(); }).get();
    }
    std::string name() {
        const auto work = current();
        seconds_ = work ? work->seconds : 0;
        return !work ? "none"
                     : work->what + std::string(" of ") + work->group + " " + std::to_string(work->number) + ", step " +
                           std::to_string(work->step);
    }
    // Runs piece by piece until that is the one.
    void run_until(const std::string& wanted) {
        cudaEventRecord(end_, stream_);
        while (name() != wanted) ASSERT_EQ(cudaEventQuery(end_), cudaErrorNotReady);
    }
    // All that it is in from here to the end of what is queued, one after another.
    Names names() {
        Names all{name()};
        cudaEventRecord(end_, stream_);
        while (cudaEventQuery(end_) == cudaErrorNotReady)
            if (const std::string next = name(); next != all.back()) all.push_back(next);
        return all;
    }

    int64_t step_ = 1;
    double seconds_ = 0;  // of the one that was named last
    NcclProgress progress_;

 private:
    void wait_for(cudaStream_t first, cudaStream_t then) {
        cudaEventRecord(order_, first);
        cudaStreamWaitEvent(then, order_, 0);
    }
    void queue(const NcclPlace& place, const char* group, cudaStream_t stream) {
        progress_.begin(place, group, stream);
        compute(stream);
        progress_.end(place, group, stream);
    }

    const StreamOwner<B> owner_, beside_;
    cudaStream_t stream_ = handle_of(owner_.get()), aside_ = handle_of(beside_.get());
    cudaEvent_t order_ = nullptr, end_ = nullptr;
    cudaGraphExec_t graph_ = nullptr;
};

// A rank that computes is in none, however long that takes.
TEST_F(NcclProgressed, OneIsNamedFromItsBeginToItsEnd) {
    for (int i = 0; i < 3; i++) compute();
    collective("all_reduce", "tensor");
    for (int i = 0; i < 3; i++) compute();
    step_ = 2;
    collective_aside("broadcast", "data");
    finish();
    for (int i = 0; i < 3; i++) compute();
    EXPECT_EQ(names(),
              (Names{"none", "all_reduce of tensor 1, step 1", "none", "broadcast of data 2, step 2", "none"}));
}

// One in order is not known to be done before the next one begins, or the graph joins: only a kernel of the graph could
// tell, for which what comes behind would wait.
TEST_F(NcclProgressed, ThoseOfAGraphAreNamed) {
    capture([&] {
        compute();
        collective("all_gather", "tensor");
        compute();
        collective_aside("reduce_scatter", "data");
        finish();
        compute();
    });
    EXPECT_EQ(names(), Names{"none"}) << "nothing was launched";
    for (step_ = 1; step_ <= 2; step_++) {
        launch();
        finish();
        Names expected{"none", "all_gather of tensor 1", "reduce_scatter of data 2", "all_gather of tensor 1", "none"};
        for (size_t i = 1; i < 4; i++) expected[i] += ", step " + std::to_string(step_);
        EXPECT_EQ(names(), expected);
    }
    // What is behind a graph is named itself.
    launch();
    finish();
    collective("all_reduce", "data");
    const Names all = names();
    EXPECT_EQ(all[all.size() - 2], "all_reduce of data 7, step 3");
}

TEST_F(NcclProgressed, WithoutAJoinTheLastOneOfAGraphStandsUntilTheNext) {
    capture([&] {
        collective("all_gather", "tensor");
        compute();
    });
    launch();
    finish();
    collective("all_reduce", "data");
    EXPECT_EQ(names(),
              (Names{"none", "all_gather of tensor 1, step 1", "none", "all_reduce of data 3, step 1", "none"}));
}

// More than there are marks for: the last mark stands for all that follow, from the first of them on.
TEST_F(NcclProgressed, ManyAreNamedByTheLast) {
    for (size_t i = 1; i < NcclProgress::kMarks; i++) collective("all_reduce", "data");
    step_ = 2;
    for (int i = 0; i < 3; i++) collective("broadcast", "data");
    finish();
    const Names all = names();
    ASSERT_EQ(all.size(), 2 * NcclProgress::kMarks + 1) << "none between them, and at the ends";
    EXPECT_EQ(all[1], "all_reduce of data 1, step 1");
    EXPECT_EQ(all[all.size() - 2], "broadcast of data 514, step 2");
}

// Of a graph that is launched again too, though it is where it was when last looked at.
TEST_F(NcclProgressed, TimeIsCountedFromWhereItIsFirstSeen) {
    capture([&] { collective("all_gather", "tensor"); });
    for (step_ = 1; step_ <= 2; step_++) {
        launch();
        finish();
    }
    run_until("all_gather of tensor 1, step 1");
    EXPECT_EQ(seconds_, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_GE(current()->seconds, 0.02);
    run_until("all_gather of tensor 1, step 2");
    EXPECT_EQ(seconds_, 0);
}

}  // namespace
}  // namespace sluice
