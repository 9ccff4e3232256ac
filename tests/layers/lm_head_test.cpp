// The head goes through a long batch in chunks: of 64 tokens where the vocabulary is large.
#include <gtest/gtest.h>

#include "support/models.h"

namespace sluice {
namespace {

// 66 sequences of one token at once are two chunks; 33 and 33 are one each.
TEST(LmHead, ChunksAddUp) {
    const ModelSpec spec = small_model("layers=1;vocab=262144;hidden=2;heads=1;head_dim=2;ffn.hidden=2");
    const TokenBatch b({66, 1}, spec.vocab);
    const double scale = 0.01;
    Model<Cpu<float>> model(spec, b.shape, Recompute::none, Mode::training);
    set_weights(model);
    const auto loss_of = [&](int64_t begin, int64_t sequences) {
        model.reset_totals();
        model.forward_backward({sequences, 1}, b.tokens.data() + begin, b.targets.data() + begin, nullptr, scale);
        return model.totals().loss;
    };
    const double whole = loss_of(0, 66);
    const std::vector<float> gradients(model.gradients(), model.gradients() + model.parameters());
    EXPECT_NEAR(model.forward(b.shape, b.tokens.data(), b.targets.data(), nullptr), whole, 1e-6 * whole);
    std::fill_n(model.gradients(), model.parameters(), 0.0f);
    EXPECT_NEAR(loss_of(0, 33) + loss_of(33, 33), whole, 1e-6 * whole);
    const std::vector<float> halves(model.gradients(), model.gradients() + model.parameters());
    EXPECT_LT(relative_error(gradients, halves), tolerance<float>());
}

// Bytes of scratch of 4096 tokens: of each token of a chunk its logits and, in float, 3 + 3 statistics and lse. At a
// vocabulary of 2^20 a CPU's chunk has the least tokens, 64, and a GPU's with bf16 has 1024.
TEST(LmHead, TheBackendSaysHowManyLogitsAreComputedAtOnce) {
    const ModelSpec spec = small_model("vocab=1048576");
    const auto bytes = [&]<class B>(B) {
        Binder binder;
        typename LmHead<B>::Scratch scratch;
        LmHead<B>(spec, {}).scratch(binder, scratch, 4096);
        return int64_t(binder.used());
    };
    EXPECT_EQ(bytes(Cpu<float>()), 64 * (spec.vocab * 4 + 28));
    EXPECT_EQ(bytes(PlannedBf16()), 1024 * (spec.vocab * 2 + 28));
}

// The row that is asked for, of the last batch.
TEST(LmHead, LogitsOfARow) {
    const ModelSpec spec = small_model("");
    const TokenBatch b({1, 5}, spec.vocab);
    Model<Cpu<double>> model(spec, b.shape, Recompute::none, Mode::inference);
    set_weights(model);
    for (int64_t row = 0; row < 5; row++) {
        std::vector<double> logits(size_t(spec.vocab));
        model.hidden_states(b.shape, b.tokens.data(), nullptr);
        model.logits(logits.data(), row);
        double sum = 0;
        for (const double z : logits) sum += std::exp(z);
        std::vector<int32_t> targets(5, -1);  // a loss of this row alone
        targets[size_t(row)] = b.targets[size_t(row)];
        const double loss = model.forward(b.shape, b.tokens.data(), targets.data(), nullptr);
        EXPECT_NEAR(loss, std::log(sum) - logits[size_t(b.targets[size_t(row)])], 1e-12) << row;
    }
}

}  // namespace
}  // namespace sluice
