// The guard of a step: what it refuses is applied by no rank and leaves no trace, and the rest is as without a guard.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "config/load.h"
#include "train/step.h"

namespace sluice {
namespace {

using Keys = std::vector<std::string>;
const Keys kGuard{"spikes={action: skip, window: 16, threshold: 10}"};

Config guarded_config(Keys more = kGuard) {
    Keys keys{"model.layers=2",         "model.hidden=16",     "model.heads=2",     "model.vocab=19",
              "model.ffn.hidden=24",    "train.steps=60",      "optimizer.lr=0.01", "data.sequence_length=8",
              "schedule.kind=constant", "train.micro_batch=1", "train.batch=4"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}

// Text that is easy to learn, but for the samples of step 40, and of step 50 on 8 steps.
void learnable(int64_t n, int32_t* tokens, int32_t*) {
    const int64_t step = n / 4 + 1;
    const bool bad = step == 40 || (step >= 50 && step < 58);
    for (int t = 0; t <= 8; t++) tokens[t] = int32_t((bad ? mix(uint64_t(n), uint64_t(t)) : uint64_t(n + t)) % 19);
}

template <class T>
std::vector<T> everything(Trainer<Cpu<T>>& trainer) {
    std::vector<T> all;
    for (const StateTensor& t : trainer.state()) {
        const T* data = static_cast<const T*>(t.data);
        all.insert(all.end(), data, data + volume(t.box.shape));
    }
    return all;
}

struct Guarded {
    std::vector<int64_t> refused;
    std::vector<float> state;
    Progress progress;
};
Guarded run_guarded(int ranks, const Config& config, int steps = 60) {
    Guarded out;
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<float>> trainer(config, mesh);
        for (int s = 0; s < steps; s++) {
            const auto before = everything(trainer);
            const int64_t updates = trainer.progress().updates;
            const StepResult r = trainer.step(learnable);
            EXPECT_EQ(r.applied, !r.spike && std::isfinite(r.loss));
            EXPECT_EQ(everything(trainer) == before, !r.applied) << "rank " << comm.rank() << ", step " << s + 1;
            EXPECT_EQ(trainer.progress().updates, updates + r.applied);
            EXPECT_EQ(r.first_sample, 4 * s);
            if (comm.rank() == 0 && r.spike) out.refused.push_back(s + 1);
        }
        if (comm.rank() > 0) return;
        out.state = everything(trainer);
        out.progress = trainer.progress();
    });
    return out;
}

TEST(Spikes, AreAppliedByNoRankAndAllRanksAgree) {
    const std::vector<int64_t> expected{40, 50, 51, 52, 53, 54};  // five in a row at most
    for (const Keys& mesh : {Keys{}, Keys{"parallel.zero=1"}, Keys{"optimizer.kind=muon"},
                             Keys{"model.moe={experts: 4, top_k: 2, hidden: 8, balance: bias}"}}) {
        Keys keys = kGuard;
        keys.insert(keys.end(), mesh.begin(), mesh.end());
        for (const int ranks : {1, 2}) {
            const Guarded run = run_guarded(ranks, guarded_config(keys));
            EXPECT_EQ(run.refused, expected) << ranks << " ranks, " << keys.back();
            EXPECT_EQ(run.progress.spikes, 6);
            EXPECT_EQ(run.progress.updates, 54);
            EXPECT_EQ(run.progress.skipped, 0) << "counts what is not finite";
        }
    }
    const Guarded split = run_guarded(2, guarded_config({kGuard[0], "parallel.tensor=2"}));
    EXPECT_EQ(split.refused, expected);
}

// The bits are those without a guard until it refuses a step.
TEST(Spikes, AGuardThatRefusesNothingChangesNoBit) {
    EXPECT_EQ(run_guarded(2, guarded_config(), 39).state, run_guarded(2, guarded_config({}), 39).state);
    EXPECT_NE(run_guarded(2, guarded_config(), 40).state, run_guarded(2, guarded_config({}), 40).state);
    EXPECT_EQ(run_guarded(1, guarded_config({})).progress.spikes, 0);
    EXPECT_EQ(run_guarded(1, guarded_config({"spikes={window: 16, threshold: 0.01}"})).refused.size(), 0u)
        << "off by default";
}

TEST(Spikes, TellWhatTheyWereComparedWith) {
    Trainer<Cpu<float>> trainer(guarded_config(), solo_mesh());
    std::vector<double> losses, norms;
    for (int s = 0; s < 40; s++) {
        const StepResult r = trainer.step(learnable);
        if (s < 39) {
            losses.push_back(r.loss);
            norms.push_back(r.grad_norm);
            EXPECT_FALSE(r.spike);
            continue;
        }
        ASSERT_TRUE(r.spike);
        const Level loss = level_of({losses.end() - 16, losses.end()}),
                    norm = level_of({norms.end() - 16, norms.end()});
        EXPECT_EQ(r.spike->loss.median, loss.median);
        EXPECT_EQ(r.spike->loss.mad, loss.mad);
        EXPECT_EQ(r.spike->grad_norm.median, norm.median);
        EXPECT_EQ(r.spike->grad_norm.mad, norm.mad);
        EXPECT_EQ(r.spike->in_a_row, 1);
    }
}

TEST(Spikes, WhatIsNotFiniteCountsForItself) {
    Trainer<Cpu<float>> trainer(guarded_config(), solo_mesh());
    for (int s = 0; s < 38; s++) trainer.step(learnable);
    const SpikeHistory before = *trainer.spike_history();
    const float weight = std::exchange(trainer.model().weights()[0], std::numeric_limits<float>::quiet_NaN());
    const StepResult bad = trainer.step(learnable);
    trainer.model().weights()[0] = weight;
    EXPECT_FALSE(bad.applied);
    EXPECT_FALSE(bad.spike);
    EXPECT_EQ(*trainer.spike_history(), before);
    EXPECT_EQ(trainer.progress().skipped_in_a_row, 1);
    EXPECT_TRUE(trainer.step(learnable).spike);  // of step 40
    EXPECT_EQ(trainer.progress().skipped_in_a_row, 0) << "it was finite";
    EXPECT_EQ(trainer.progress().skipped, 1);
    EXPECT_EQ(trainer.progress().spikes, 1);
}

// Rewinds count until the run is a window beyond the step that it left.
TEST(Spikes, RewindsAreForgottenAWindowLater) {
    Trainer<Cpu<float>> trainer(guarded_config(), solo_mesh());
    Progress progress;
    progress.step = 10, progress.updates = 10, progress.rewinds = 2, progress.furthest = 12;
    progress.passed_over = 24, progress.spikes = 7;
    trainer.restore(progress, 64);
    EXPECT_EQ(trainer.tokens(), 40 * 8) << "what was passed over was not trained on";
    while (trainer.progress().step < 28) trainer.step(learnable);
    EXPECT_EQ(trainer.progress().rewinds, 2);
    trainer.step(learnable);
    EXPECT_EQ(trainer.progress().rewinds, 0);
    EXPECT_EQ(trainer.progress().spikes, 7);
    EXPECT_EQ(trainer.consumed_samples(), 64 + 19 * 4);
}

// At three times the rate that learns well one bad batch undoes what was learned, unless it is refused.
TEST(Spikes, ABadBatchAtTooLargeARateDoesNoHarm) {
    const auto harm = [](const std::string& action) {
        Trainer<Cpu<float>> trainer(guarded_config({"spikes={action: " + action + ", window: 16}", "optimizer.lr=0.03",
                                                    "optimizer.grad_clip=0"}),
                                    solo_mesh());
        double before = 0, after = 0;
        for (int s = 1; s < 50; s++) {
            double& largest = s < 40 ? before : after;
            if (const StepResult r = trainer.step(learnable); s >= 35 && s != 40) largest = std::max(largest, r.loss);
        }
        return after / before;
    };
    EXPECT_GT(harm("none"), 3);
    EXPECT_LT(harm("skip"), 1);
}

}  // namespace
}  // namespace sluice
