// What a step counts and tells: samples, the schedule, skipped steps, documents of every sequence, the routers.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "config/load.h"
#include "data/data.h"
#include "optim/schedule.h"
#include "train/step.h"

namespace sluice {
namespace {

constexpr int64_t kTokens = 6;

Config six_token_config(std::vector<std::string> more = {}) {
    std::vector<std::string> keys{"model.layers=2",         "model.hidden=8",      "model.heads=2",
                                  "model.vocab=11",         "model.ffn.hidden=12", "data.sequence_length=6",
                                  "train.batch=4",          "train.micro_batch=2", "train.steps=20",
                                  "optimizer.lr=0.01",      "model.init_std=0.3",  "optimizer.grad_clip=0",
                                  "schedule.warmup_steps=5"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}
void six_tokens(int64_t n, int32_t* tokens, int32_t* first) {
    for (int64_t t = 0; t <= kTokens; t++) tokens[t] = int32_t(mix(uint64_t(n), uint64_t(t)) % 11);
    if (first) document_starts(first, tokens, kTokens, 0);
}
using DoubleTrainer = Trainer<Cpu<double>>;

template <class T>
StepResult step_with_nan(Trainer<Cpu<T>>& trainer, const Samples& samples) {
    const T before = std::exchange(trainer.model().weights()[0], std::numeric_limits<T>::quiet_NaN());
    const StepResult result = trainer.step(samples);
    trainer.model().weights()[0] = before;
    return result;
}

TEST(Progress, EveryStepTakesTheNextSamples) {
    DoubleTrainer trainer(six_token_config(), solo_mesh());
    std::vector<int64_t> seen;
    const Samples watched = [&](int64_t n, int32_t* tokens, int32_t* first) {
        seen.push_back(n);
        six_tokens(n, tokens, first);
    };
    trainer.restore({3, 3, 0, 0}, 17);
    trainer.step(watched);
    step_with_nan(trainer, watched);  // skipped: its samples are gone all the same
    trainer.step(watched);
    std::vector<int64_t> expected;
    for (int64_t n = 17; n < 29; n++) expected.push_back(n);
    EXPECT_EQ(seen, expected);
    EXPECT_EQ(trainer.consumed_samples(), 29);
    EXPECT_EQ(trainer.tokens(), 29 * kTokens);
}

TEST(Progress, RanksShareTheSamplesOfAMicroBatch) {
    std::vector<std::vector<int64_t>> seen(2);
    run_threads(2, [&](Comm& comm) {
        Mesh mesh(comm, {});
        DoubleTrainer trainer(six_token_config({"train.micro_batch=1"}), mesh);
        trainer.step([&](int64_t n, int32_t* tokens, int32_t* first) {
            seen[size_t(comm.rank())].push_back(n);
            six_tokens(n, tokens, first);
        });
    });
    EXPECT_EQ(seen[0], (std::vector<int64_t>{0, 2}));
    EXPECT_EQ(seen[1], (std::vector<int64_t>{1, 3}));
}

TEST(Progress, TheScheduleGoesByStepsSkippedOrNot) {
    const Config c = six_token_config();
    DoubleTrainer trainer(c, solo_mesh());
    EXPECT_EQ(trainer.step(six_tokens).lr, learning_rate(c, 1));
    EXPECT_EQ(step_with_nan(trainer, six_tokens).lr, learning_rate(c, 2));
    EXPECT_EQ(trainer.step(six_tokens).lr, learning_rate(c, 3));
}

// A loss of 1e160 has a gradient whose squares overflow.
TEST(Progress, AnInfiniteNormIsSkippedThoughTheLossIsFinite) {
    DoubleTrainer trainer(six_token_config(), solo_mesh());
    for (const TensorInfo& t : trainer.model().tensors())
        for (int64_t i = 0; t.name == "head.weight" && i < t.count; i++)
            trainer.model().weights()[t.offset + i] *= 1e160;
    const StepResult result = trainer.step(six_tokens);
    EXPECT_TRUE(std::isfinite(result.loss));
    EXPECT_FALSE(std::isfinite(result.grad_norm));
    EXPECT_FALSE(result.applied);
}

TEST(Progress, EverySequenceOfAMicroBatchHasItsDocuments) {
    const auto losses = [](const std::string& micro_batch) {
        DoubleTrainer trainer(six_token_config({"data.document_mask=true", "train.micro_batch=" + micro_batch}),
                              solo_mesh());
        std::vector<double> losses;
        for (int s = 0; s < 3; s++) losses.push_back(trainer.step(six_tokens).loss);
        return losses;
    };
    const auto one = losses("1"), four = losses("4");
    for (size_t s = 0; s < one.size(); s++) EXPECT_NEAR(four[s], one[s], 1e-12);
}

// ---------------------------------------------------------------- routers
const std::string kMixture = "model.moe={experts: 4, top_k: 2, hidden: 8}";

RoutingResult routing_of(DoubleTrainer& trainer) { return *trainer.step(six_tokens).routing; }

// Routers without weights: all experts are as likely, and the lowest two are picked everywhere.
TEST(Routers, OfEvenProbabilities) {
    DoubleTrainer trainer(six_token_config({kMixture, "optimizer.lr=0"}), solo_mesh());
    for (const TensorInfo& t : trainer.model().tensors())
        if (t.name.ends_with("router.weight")) std::fill_n(trainer.model().weights() + t.offset, t.count, 0.0);
    for (int s = 0; s < 2; s++) {  // every step counts anew
        const RoutingResult r = routing_of(trainer);
        EXPECT_NEAR(r.entropy, std::log(4), 1e-12);
        EXPECT_NEAR(r.z, std::pow(std::log(4), 2), 1e-12);
        EXPECT_NEAR(r.balance, 1, 1e-12);
        EXPECT_NEAR(r.load, 2, 1e-12) << "half of the experts have all picks";
    }
}

}  // namespace
}  // namespace sluice
