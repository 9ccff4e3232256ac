// Steps: the schedule, ranks against one rank, the same bits every time, and values that are not finite.
#include "train/step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/rng.h"
#include "config/load.h"
#include "data/data.h"
#include "kernels/memory.h"
#include "optim/schedule.h"

namespace sluice {
namespace {

Config small_config(std::vector<std::string> more = {}) {
    std::vector<std::string> keys{"model.layers=2",         "model.hidden=16",     "model.heads=2",
                                  "model.vocab=19",         "model.ffn.hidden=24", "model.gates=[{position: sdpa}]",
                                  "data.sequence_length=8", "train.batch=8",       "train.micro_batch=1",
                                  "train.steps=50",         "optimizer.lr=0.01",   "schedule.warmup_steps=5"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}

void squares(int64_t n, int32_t* tokens, int32_t*) {
    for (int t = 0; t <= 8; t++) tokens[t] = int32_t((mix(uint64_t(n), 5) % 19 + uint64_t(t * t)) % 19);
}

struct Course {
    std::vector<double> losses, norms;
    std::vector<float> weights;
};
Course run(int ranks, int steps, const Config& c) {
    Course course;
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, {});
        Trainer<Cpu<float>> trainer(c, mesh);
        for (int s = 0; s < steps; s++) {
            const StepResult r = trainer.step(squares);
            if (comm.rank() > 0) continue;
            course.losses.push_back(r.loss);
            course.norms.push_back(r.grad_norm);
        }
        if (comm.rank() == 0)
            course.weights.assign(trainer.model().weights(), trainer.model().weights() + trainer.model().parameters());
    });
    return course;
}

TEST(Schedule, FollowsTheFormulas) {
    Config c = small_config({"train.steps=100", "schedule.warmup_steps=10", "optimizer.lr=1", "schedule.final_lr=0.1"});
    EXPECT_DOUBLE_EQ(learning_rate(c, 1), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate(c, 10), 1);
    EXPECT_DOUBLE_EQ(learning_rate(c, 55), 0.55);
    EXPECT_DOUBLE_EQ(learning_rate(c, 100), 0.1);
    c.schedule.kind = ScheduleKind::wsd;
    c.schedule.decay_steps = 20;
    EXPECT_DOUBLE_EQ(learning_rate(c, 80), 1);
    EXPECT_DOUBLE_EQ(learning_rate(c, 90), 0.55);
    EXPECT_DOUBLE_EQ(learning_rate(c, 100), 0.1);
    c.schedule.kind = ScheduleKind::constant;
    EXPECT_DOUBLE_EQ(learning_rate(c, 100), 1);
    c.schedule.warmup_steps = 1000;  // may exceed the run
    EXPECT_DOUBLE_EQ(learning_rate(c, 100), 0.1);
}

// How often a step asks its memory to wait. (A CPU's memory cannot show who should have asked.)
TEST(Step, TheHostWaitsOnce) {
    const auto waits = [](const std::vector<std::string>& keys) {
        const Config config = small_config(keys);
        Trainer<Cpu<float>> trainer(config, solo_mesh());
        trainer.step(squares);
        const int64_t before = memory_of<Cpu<float>>().waits();
        trainer.step(squares);
        return memory_of<Cpu<float>>().waits() - before;
    };
    EXPECT_EQ(waits({}), 1);
    EXPECT_EQ(waits({"parallel.zero=1", "optimizer.kind=muon", "train.recompute=block"}), 1);
    for (const char* balance : {"global_batch", "micro_batch", "bias", "none"})
        EXPECT_EQ(waits({"model.moe={experts: 4, top_k: 2, hidden: 8, balance: " + std::string(balance) + "}"}), 1);
}
TEST(Step, WithAnExpertGroupTheHostWaitsForEachExchange) {
    const Config config =
        small_config({"model.moe={experts: 4, top_k: 2, hidden: 8}", "parallel.expert=2", "train.recompute=ffn"});
    run_threads(2, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<float>> trainer(config, mesh);
        trainer.step(squares);
        comm.barrier();
        const int64_t before = memory_of<Cpu<float>>().waits();
        comm.barrier();
        trainer.step(squares);
        comm.barrier();
        // Of two ranks in 4 micro-batches: both layers, and the first of them again before its backward.
        EXPECT_EQ(memory_of<Cpu<float>>().waits() - before, 2 * (4 * 3 + 1));
        comm.barrier();
    });
}

TEST(Step, RanksAgreeWithOneRank) {
    const Course one = run(1, 50, small_config());
    EXPECT_LT(one.losses.back(), 0.8 * one.losses.front()) << "nothing is learned";
    EXPECT_NEAR(one.losses.front(), std::log(19), 0.1);
    for (const int ranks : {2, 4}) {
        const Course many = run(ranks, 50, small_config());
        for (size_t s = 0; s < 50; s++)
            EXPECT_LT(std::abs(many.losses[s] - one.losses[s]) / one.losses[s], 1e-5)
                << ranks << " ranks, step " << s + 1;
    }
}

TEST(Step, OneMeshGivesTheSameBits) {
    for (const int ranks : {1, 3}) {
        const Config c = small_config({"train.batch=6"});
        const Course a = run(ranks, 10, c), b = run(ranks, 10, c);
        EXPECT_EQ(a.losses, b.losses);
        EXPECT_EQ(a.weights, b.weights);
    }
}

TEST(Step, RecomputeGivesTheSameBits) {
    const Course a = run(2, 5, small_config());
    for (const char* policy : {"ffn", "attention", "block"})
        EXPECT_EQ(run(2, 5, small_config({"train.recompute=" + std::string(policy)})).weights, a.weights) << policy;
}

TEST(Step, AccumulationAgreesWithOneMicroBatch) {
    const Course a = run(1, 5, small_config()), b = run(1, 5, small_config({"train.micro_batch=8"}));
    for (size_t s = 0; s < 5; s++) EXPECT_NEAR(a.losses[s], b.losses[s], 1e-5);
}

TEST(Step, NotFiniteOnOneRankIsAppliedByNone) {
    run_threads(2, [&](Comm& comm) {
        Mesh mesh(comm, {});
        Trainer<Cpu<float>> trainer(small_config(), mesh);
        auto& model = trainer.model();
        trainer.step(squares);
        const int64_t other = model.tensors()[1].offset;  // past the embedding
        float& weight = model.weights()[other];
        const float before = weight;
        if (comm.rank() == 1) weight = std::numeric_limits<float>::quiet_NaN();
        const std::vector<float> weights(model.weights(), model.weights() + other);
        const StepResult r = trainer.step(squares);
        EXPECT_FALSE(r.applied);
        EXPECT_TRUE(std::isnan(r.loss));
        EXPECT_EQ(weights, std::vector<float>(model.weights(), model.weights() + other));
        EXPECT_EQ(trainer.progress().step, 2);
        EXPECT_EQ(trainer.progress().updates, 1);
        EXPECT_EQ(trainer.progress().skipped_in_a_row, 1);
        weight = before;
        EXPECT_TRUE(trainer.step(squares).applied);
        EXPECT_EQ(trainer.progress().skipped, 1);
        EXPECT_EQ(trainer.progress().skipped_in_a_row, 0);
    });
}

// What reads the state meanwhile is waited for when forward and backward are done, and nothing has changed yet.
TEST(Step, CallsBeforeTheStateChanges) {
    Trainer<Cpu<float>> trainer(small_config(), solo_mesh());
    trainer.step(squares);
    const auto state = [&] {
        std::vector<float> all;
        for (const StateTensor& t : trainer.state()) {
            const auto* values = static_cast<const float*>(t.data);
            all.insert(all.end(), values, values + volume(t.box.shape));
        }
        return all;
    };
    const std::vector<float> before = state();
    int read = 0, calls = 0;
    const auto samples = [&](int64_t n, int32_t* tokens, int32_t* doc_start) {
        read++;
        squares(n, tokens, doc_start);
    };
    const auto called = [&] {
        calls++;
        EXPECT_EQ(read, 8);
        EXPECT_EQ(state(), before);
    };
    EXPECT_TRUE(trainer.step(samples, {}, called).applied);
    EXPECT_EQ(calls, 1);
    EXPECT_NE(state(), before);
    trainer.model().weights()[0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(trainer.step(squares, {}, called).applied);
    EXPECT_EQ(calls, 1);
}

TEST(Step, FlagsAreSummed) {
    run_threads(3, [&](Comm& comm) {
        Mesh mesh(comm, {});
        Trainer<Cpu<float>> trainer(small_config({"train.batch=6"}), mesh);
        EXPECT_EQ(trainer.step(squares, {comm.rank() == 1, true}).stop_requests, 1);
        EXPECT_EQ(trainer.step(squares, {false, true}).saved_ranks, 3);
    });
}

// Clip and decay by hand for one step of one weight.
TEST(Step, ClipsTheNormAndDecaysMatricesOnly) {
    const Config c = small_config({"optimizer.grad_clip=0.01", "optimizer.weight_decay=0.5", "schedule.warmup_steps=0",
                                   "schedule.kind=constant"});
    Trainer<Cpu<double>> trainer(c, solo_mesh());
    auto& model = trainer.model();
    const std::vector<double> before(model.weights(), model.weights() + model.parameters());
    const StepResult r = trainer.step(squares);
    ASSERT_GT(r.grad_norm, 0.01);
    for (const TensorInfo& t : model.tensors()) {
        const size_t i = size_t(t.offset);
        const double g = model.gradients()[i] * 0.01 / r.grad_norm, decay = decays(t.role) ? 0.5 : 0;
        EXPECT_NEAR(model.weights()[i], before[i] - 0.01 * (g / (std::abs(g) + 1e-8) + decay * before[i]), 1e-12)
            << t.name;
        EXPECT_EQ(decays(t.role), t.shape.size() > 1 && t.name != "embedding.weight") << t.name;
    }
}

TEST(Documents, BeginAtDelimiters) {
    const std::vector<int32_t> tokens{5, 5, 0, 1, 0, 0, 2};
    std::vector<int32_t> first(7);
    document_starts(first.data(), tokens.data(), 7, 0);
    EXPECT_EQ(first, (std::vector<int32_t>{0, 0, 2, 2, 4, 5, 5}));
}

}  // namespace
}  // namespace sluice
