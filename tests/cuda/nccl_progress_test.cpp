// Which collective a rank is said to be in, by what its streams have come to. The emulator runs nothing before the host
// waits for it.
#include "kernels/cuda/nccl_progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "kernels/emu/emu.h"
#include "kernels/memory.h"

namespace sluice {
namespace {

using B = Cuda<float>;

class NcclProgressed : public testing::Test {
 protected:
    NcclProgressed() {
        for (cudaEvent_t* event : {&fork_, &join_, &mark_}) cudaEventCreateWithFlags(event, cudaEventDisableTiming);
    }
    ~NcclProgressed() override {
        cudaStreamSynchronize(stream_);
        cudaGraphExecDestroy(graph_);
        for (cudaEvent_t event : {fork_, join_, mark_}) cudaEventDestroy(event);
        emu::options() = {};
    }

    // A graph with a collective in order, number 1, and one aside, number 2.
    void capture() {
        cudaGraph_t graph = nullptr;
        cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
        queue("all_gather", "tensor", false);
        cudaEventRecord(fork_, stream_);
        cudaStreamWaitEvent(aside_, fork_, 0);
        queue("reduce_scatter", "data", true);
        cudaEventRecord(join_, aside_);
        cudaStreamWaitEvent(stream_, join_, 0);
        EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
        EXPECT_EQ(cudaGraphInstantiate(&graph_, graph, 0), cudaSuccess);
        cudaGraphDestroy(graph);
    }
    void launch() { ASSERT_EQ(cudaGraphLaunch(graph_, stream_), cudaSuccess); }
    void queue(const char* what, const char* group, bool aside) {
        const NcclPlace at = place(what, aside);
        const cudaStream_t stream = aside ? aside_ : stream_;
        progress_.begin(at, group, stream);
        progress_.end(at, group, stream);
    }
    void wait() { cudaStreamSynchronize(stream_); }
    void leave_mark() { cudaEventRecord(mark_, stream_); }
    void wait_for_mark() { cudaEventSynchronize(mark_); }
    void finish() { progress_.join(place("finish", false), "data", stream_); }

    // All that are named, one after another: each time that it is asked, the emulator runs another piece.
    std::vector<std::string> named() {
        std::vector<std::string> names;
        while (const auto work = progress_.oldest()) {
            const std::string name = work->what + std::string(" of ") + work->group + " " +
                                     std::to_string(work->number) + ", step " + std::to_string(work->step);
            if (names.empty() || names.back() != name) names.push_back(name);
        }
        return names;
    }

    int64_t step_ = 1;
    NcclProgress progress_;

 private:
    NcclPlace place(const char* what, bool aside) const { return {0, owner_.get(), aside, what, step_}; }

    const StreamOwner<B> owner_, beside_;
    cudaStream_t stream_ = static_cast<cudaStream_t>(owner_.get().handle);
    cudaStream_t aside_ = static_cast<cudaStream_t>(beside_.get().handle);
    cudaEvent_t fork_ = nullptr, join_ = nullptr, mark_ = nullptr;
    cudaGraphExec_t graph_ = nullptr;
};

using Names = std::vector<std::string>;

// One in order is not known to be done before the next one begins: only a kernel of the graph could tell, for which
// what comes behind would wait.
TEST_F(NcclProgressed, ThoseOfAGraphAreNamedBeforeItsEnd) {
    capture();
    EXPECT_EQ(named(), Names{}) << "nothing was launched";
    for (step_ = 1; step_ <= 2; step_++) {
        launch();
        finish();
        Names expected{"all_gather of tensor 1", "reduce_scatter of data 2", "all_gather of tensor 1"};
        for (std::string& name : expected) name += ", step " + std::to_string(step_);
        EXPECT_EQ(named(), expected);
    }
}

TEST_F(NcclProgressed, OneBehindAGraphIsNamedItself) {
    capture();
    launch();
    finish();
    queue("all_reduce", "data", false);
    queue("broadcast", "data", true);
    const Names names = named();
    ASSERT_GE(names.size(), 2u);
    EXPECT_EQ(names[names.size() - 2], "all_reduce of data 4, step 1");
    EXPECT_EQ(names.back(), "broadcast of data 5, step 1");
}

TEST_F(NcclProgressed, TimeIsCountedFromWhereAGraphGotTo) {
    capture();
    launch();
    finish();
    const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
    int64_t before = 0;
    while (const auto work = progress_.oldest()) {
        if (work->number != before)
            EXPECT_EQ(work->seconds, 0) << work->what;
        else
            EXPECT_GE(work->seconds, 0.02) << work->what;
        before = work->number;
        pause();
    }
}

// A graph got to where it was when last looked at, one step later.
TEST_F(NcclProgressed, AStepThatIsDoneIsProgress) {
    capture();
    launch();
    finish();
    wait();
    launch();
    finish();
    leave_mark();
    launch();
    finish();
    const auto seconds = [&] {  // as another thread finds them: there nothing runs for being looked at
        return std::async(std::launch::async, [&] { return progress_.oldest().value().seconds; }).get();
    };
    EXPECT_EQ(seconds(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_GE(seconds(), 0.02);
    wait_for_mark();
    EXPECT_EQ(seconds(), 0);
}

}  // namespace
}  // namespace sluice
