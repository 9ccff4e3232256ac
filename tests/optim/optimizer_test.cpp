// What a step does to the weights: steps that were skipped leave no trace, and the clip only ever scales down.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "config/load.h"
#include "train/step.h"

namespace sluice {
namespace {

Config config(std::vector<std::string> more = {}) {
    std::vector<std::string> keys{"model.layers=1",        "model.hidden=8",          "model.heads=2",
                                  "model.vocab=11",        "model.ffn.hidden=12",     "data.sequence_length=4",
                                  "train.batch=2",         "train.micro_batch=1",     "train.steps=50",
                                  "optimizer.lr=0.01",     "schedule.kind=constant",  "schedule.warmup_steps=0",
                                  "optimizer.grad_clip=0", "optimizer.weight_decay=0"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}

// The same tokens in every step.
void samples(int64_t n, int32_t* tokens, int32_t*) {
    for (int64_t t = 0; t <= 4; t++) tokens[t] = int32_t((3 * (n % 2) + t * t) % 11);
}

using DoubleTrainer = Trainer<Cpu<double>>;

StepResult step_that_is_skipped(DoubleTrainer& trainer) {
    double& weight = trainer.model().weights()[0];
    const double before = std::exchange(weight, std::numeric_limits<double>::quiet_NaN());
    const StepResult result = trainer.step(samples);
    weight = before;
    return result;
}

// Weights and moments.
std::vector<std::vector<double>> state_of(DoubleTrainer& trainer) {
    std::vector<std::vector<double>> state;
    for (const StateTensor& t : trainer.state()) {
        const auto* values = static_cast<const double*>(t.data);
        state.emplace_back(values, values + volume(t.box.shape));
    }
    return state;
}

TEST(Optimizer, SkippedStepsLeaveNoTrace) {
    const Config c = config();
    DoubleTrainer trainer(c, solo_mesh()), other(c, solo_mesh());
    trainer.step(samples);
    other.step(samples);
    for (int i = 0; i < 3; i++) ASSERT_FALSE(step_that_is_skipped(other).applied);
    EXPECT_EQ(state_of(other), state_of(trainer));
    trainer.step(samples);
    other.step(samples);
    EXPECT_EQ(other.progress().step, 5);
    EXPECT_EQ(state_of(other), state_of(trainer)) << "the bias correction counts steps that were skipped";
}

TEST(Optimizer, BiasCorrectionCountsUpdatesAfterAResumeToo) {
    const Config c = config();
    DoubleTrainer trainer(c, solo_mesh()), other(c, solo_mesh());
    for (int i = 0; i < 3; i++) trainer.step(samples);
    other.step(samples);
    other.step(samples);
    other.restore({7, 2, 5, 0}, 14);
    other.step(samples);
    EXPECT_EQ(state_of(other), state_of(trainer));
}

// Three updates of one weight by the formulas, with moments of both signs.
TEST(Optimizer, FollowsAdamW) {
    const Config c = config({"optimizer.beta1=0.8", "optimizer.beta2=0.9", "optimizer.weight_decay=0.1"});
    DoubleTrainer trainer(c, solo_mesh());
    const int64_t count = trainer.model().parameters();
    std::vector<double> w(trainer.model().weights(), trainer.model().weights() + count), m(w.size()), v(w.size());
    for (int t = 1; t <= 3; t++) {
        trainer.step(samples);
        for (const TensorInfo& info : trainer.model().tensors())
            for (int64_t k = info.offset; k < info.offset + info.count; k++) {
                const auto i = size_t(k);
                const double g = trainer.model().gradients()[i], decay = decays(info.role) ? 0.1 : 0;
                m[i] = 0.8 * m[i] + 0.2 * g;
                v[i] = 0.9 * v[i] + 0.1 * g * g;
                const double m_hat = m[i] / (1 - std::pow(0.8, t)), v_hat = v[i] / (1 - std::pow(0.9, t));
                w[i] -= 0.01 * (m_hat / (std::sqrt(v_hat) + c.optimizer.eps) + decay * w[i]);
                ASSERT_NEAR(trainer.model().weights()[i], w[i], 1e-12) << info.name << " after step " << t;
            }
    }
}

TEST(Optimizer, AClipAboveTheNormChangesNothing) {
    DoubleTrainer unclipped(config(), solo_mesh()), clipped(config({"optimizer.grad_clip=1000"}), solo_mesh());
    ASSERT_LT(unclipped.step(samples).grad_norm, 1000);
    clipped.step(samples);
    EXPECT_EQ(state_of(clipped), state_of(unclipped));
}

TEST(Optimizer, AClipBelowTheNormScalesTheWholeGradient) {
    DoubleTrainer unclipped(config(), solo_mesh()), clipped(config({"optimizer.grad_clip=0.25"}), solo_mesh());
    const double norm = unclipped.step(samples).grad_norm;
    EXPECT_EQ(clipped.step(samples).grad_norm, norm) << "what is reported is the norm before the clip";
    ASSERT_GT(norm, 0.25);
    double squares = 0;
    for (const StateTensor& t : clipped.state())
        if (t.name.starts_with("adam.m/"))
            for (int64_t i = 0; i < volume(t.box.shape); i++) {
                const double g = static_cast<const double*>(t.data)[i] / (1 - config().optimizer.beta1);
                squares += g * g;
            }
    EXPECT_NEAR(std::sqrt(squares), 0.25, 1e-12);
}

}  // namespace
}  // namespace sluice
