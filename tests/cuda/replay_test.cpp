// Micro-batches that are captured once and launched again: the same bits, and only where all are queued alike.
#include <gtest/gtest.h>

#include <array>

#include "cuda/small.h"
#include "kernels/cuda/prim/op.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/nccl.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

const char *const kStaged = "parallel.communicator=staged", *const kNccl = "parallel.communicator=nccl";

struct Course {
    std::vector<double> numbers;    // losses and norms, by step
    std::vector<int64_t> launches;  // of graphs, by step
};
template <class B>
Course run(const Keys& keys, bool captures, int ranks = 1, int steps = 3) {
    synchronise_launches(!captures);
    const Config config = small_config(joined({"train.batch=" + std::to_string(8 * ranks)}, keys));
    Course course;
    train_on<B>(ranks, config, [&](Trainer<B>& trainer, Comm& comm) {
        for (int i = 0; i < steps; i++) {
            const int64_t before = emu::graph_launches();
            comm.barrier();
            const StepResult result = trainer.step(small_samples);
            comm.barrier();
            if (comm.rank() > 0) continue;
            course.numbers.insert(course.numbers.end(), {result.loss, result.grad_norm});
            course.launches.push_back(emu::graph_launches() - before);
        }
    });
    synchronise_launches(false);
    return course;
}

const std::vector<Keys> kModels{
    {"model.gates=[{position: sdpa, granularity: elementwise}, {position: query, heads: shared}]"},
    {"model.moe={experts: 4, top_k: 2, hidden: 24, balance: global_batch}"},
    {"data.document_mask=true", "train.recompute=block", "parallel.zero=1"},
    {"model.attention={kind: rela}", "optimizer.kind=muon"},
};

// Four micro-batches a step. Those without reductions are captured at the second, those with them in the second step.
template <class B>
void same_bits(size_t model, emu::Order order) {
    const Keys& keys = kModels[model];
    SCOPED_TRACE(keys[0]);
    emu::options().order = order;
    const Course one_by_one = run<B>(keys, false), captured = run<B>(keys, true);
    EXPECT_EQ(captured.numbers, one_by_one.numbers);
    EXPECT_EQ(one_by_one.launches, (std::vector<int64_t>{0, 0, 0}));
    EXPECT_EQ(captured.launches, (std::vector<int64_t>{2, 4, 4}));
    emu::options() = {};
}
TEST(Replays, GiveTheBitsOfOpsQueuedOneByOne) {
    same_bits<Cuda<float>>(0, emu::Order::forward);
    same_bits<Cuda<float>>(1, emu::Order::reverse);
    same_bits<Cuda<bf16>>(2, emu::Order::seeded);
    same_bits<Cuda<bf16>>(3, emu::Order::reverse);
}

TEST(Replays, OfOneMicroBatchAStepBeginInTheSecondStep) {
    EXPECT_EQ(run<Cuda<float>>({"train.micro_batch=8"}, true).launches, (std::vector<int64_t>{0, 1, 1}));
}

TEST(Replays, AreNotMadeWhereTheHostTakesPart) {
    const std::vector<int64_t> none{0, 0, 0};
    const std::string experts = "model.moe={experts: 4, top_k: 2, hidden: 24}";
    EXPECT_EQ(run<Cuda<float>>({kStaged}, true, 2).launches, none);  // sums pass through the host
    EXPECT_EQ(run<Cuda<float>>({experts, "parallel.expert=2", kNccl}, true, 2).launches, none);  // counts are read
}

// Two ranks launch graphs that hold collectives: of gradients beside backward, and of each layer's sums.
TEST(Replays, HoldTheCollectivesOfNccl) {
    const Keys gated{"model.gates=[{position: sdpa}, {position: key}]", kNccl};
    const int64_t aborts = emu::nccl_aborts();
    for (const char* mesh : {"parallel.zero=0", "parallel.zero=1", "parallel.tensor=2"})
        for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
            SCOPED_TRACE(mesh);
            emu::options().order = order;
            Keys keys = gated;
            keys.push_back(mesh);
            const Course one_by_one = run<Cuda<float>>(keys, false, 2), captured = run<Cuda<float>>(keys, true, 2);
            EXPECT_EQ(captured.numbers, one_by_one.numbers);
            const bool data = keys.back() != "parallel.tensor=2";  // else each rank has all eight micro-batches
            EXPECT_EQ(captured.launches, data ? (std::vector<int64_t>{4, 8, 8}) : (std::vector<int64_t>{12, 16, 16}));
        }
    EXPECT_EQ(emu::nccl_aborts(), aborts) << "communicators end in order, since their graphs have gone before";
    emu::options() = {};
}

// Every second step is looked at: its passes have other ops.
TEST(Replays, LeaveOutStepsThatAreLookedAt) {
    const Keys keys{"model.gates=[{position: sdpa}]", "probes.every=2"};
    const Course one_by_one = run<Cuda<float>>(keys, false, 1, 4), captured = run<Cuda<float>>(keys, true, 1, 4);
    EXPECT_EQ(captured.launches, (std::vector<int64_t>{2, 0, 4, 0}));
    EXPECT_EQ(captured.numbers, one_by_one.numbers);
}

TEST(Replays, LeaveOutWhatIsProfiled) {
    using B = Cuda<float>;
    Config config = small_config({});
    resolve_ranks(config, 1);
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
    for (int i = 0; i < 2; i++) trainer.step(small_samples);
    const int64_t before = emu::graph_launches();
    std::array<Profile, 2> profiles;
    for (Profile& profile : profiles) {
        profile_into(&profile);
        trainer.step(small_samples);
        profile_into(nullptr);
    }
    EXPECT_EQ(emu::graph_launches(), before);
    ASSERT_GT(profiles[0].ops.size(), 10u);
    for (const auto& [key, time] : profiles[0].ops)  // times are of the emulator's clock, which moves alike each time
        EXPECT_NEAR(profiles[1].ops.at(key).seconds, time.seconds, 1e-6 * time.seconds) << key.first;
    trainer.step(small_samples);
    EXPECT_EQ(emu::graph_launches(), before + 2);
}

// What cannot be captured is queued one by one, and that is said once; an error on the way leaves no capture behind.
TEST(Replays, AreGivenUpWhereACaptureFails) {
    using B = Cuda<float>;
    Memory& memory = memory_of<B>();
    const StreamOwner<B> owner;
    const CopyStream other(memory);
    StreamEvent event(memory);
    auto* const numbers = static_cast<float*>(memory.allocate(64));
    Replay<B> never_joins("test"), fails("test");
    int queued = 0;
    const auto fork = [&] {  // the other stream is captured too, and does not come back
        queued++;
        zero<B>(owner.get(), numbers, 16);
        event.record(owner.get());
        event.hold_back(other.get());
        memory.zero(other.get(), numbers, 64);
    };
    testing::internal::CaptureStderr();
    for (int i = 0; i < 4; i++) {
        never_joins.run(owner.get(), fork);
        memory.wait(other.get());
        memory.wait(owner.get());
    }
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(queued, 5);  // once in vain
    const size_t warning = said.find("warning: no graph of a test can be made (capturing stream has unjoined work)");
    ASSERT_NE(warning, said.npos) << said;
    EXPECT_EQ(said.find("warning", warning + 1), said.npos) << said;

    for (const bool waits : {false, true, true, false}) {
        const auto wait = [&] {
            zero<B>(owner.get(), numbers, 16);
            if (waits) memory.wait(owner.get());
        };
        if (waits)
            EXPECT_THROW(fails.run(owner.get(), wait), Failure);
        else
            fails.run(owner.get(), wait);
        memory.wait(owner.get());
    }
    memory.free(numbers);
}

// An error within a graph is told with its name.
TEST(Replays, AreNamedByErrorsThatShowLater) {
    using B = Cuda<float>;
    Config config = small_config({"train.micro_batch=4"});
    resolve_ranks(config, 1);
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
    for (int i = 0; i < 3; i++) trainer.step(small_samples);
    EXPECT_NE(queued_last().find("last micro-batch"), std::string::npos) << queued_last();
}

}  // namespace
}  // namespace sluice
