// Bytes of a model by hand, at sizes of whole cache lines.
#include <gtest/gtest.h>

#include "base/check.h"
#include "support/models.h"

namespace sluice {
namespace {

constexpr int64_t kTokens = 64, kHidden = 64, kVocab = 4096, kFloat = 4;
const ModelSpec kSpec = small_model("layers=3;hidden=64;heads=4;head_dim=16;vocab=4096;ffn.hidden=128");

ModelBytes planned(Recompute recompute, const MeshCoord& coord = {}) {
    return Model<Cpu<float>>::plan(kSpec, {2, kTokens / 2}, recompute, Mode::training, coord);
}
MeshCoord shared_by_two(bool sequence) {
    MeshCoord coord;
    coord.tensor = 2;
    coord.sequence = sequence;
    return coord;
}

// With a large vocabulary the head needs the most: the gradients of its input and of the residual, a chunk's logits,
// and of each token three numbers of every part and of all, and its log-sum-exp.
int64_t head_scratch(int64_t rows, int64_t parts) {
    return 2 * rows * kHidden + kTokens * kVocab / parts + kTokens * (3 + 3 * parts + 1);
}

TEST(ModelMemory, ScratchIsTheHeads) {
    EXPECT_EQ(planned(Recompute::none).scratch, size_t(kFloat * head_scratch(kTokens, 1)));
    EXPECT_EQ(planned(Recompute::none, shared_by_two(false)).scratch, size_t(kFloat * head_scratch(kTokens, 2)));
    const int64_t gathered = 3 * kTokens * kHidden;  // all tokens' input, result and gradient, of a rank's half
    EXPECT_EQ(planned(Recompute::none, shared_by_two(true)).scratch,
              size_t(kFloat * (gathered + head_scratch(kTokens / 2, 2))));
}

// A branch that is computed again has one place for all three layers.
TEST(ModelMemory, RecomputeKeepsOneLayersActivations) {
    const ModelBytes all = planned(Recompute::none);
    EXPECT_EQ(planned(Recompute::ffn).ffn, all.ffn / 3);
    EXPECT_EQ(planned(Recompute::ffn).attention, all.attention);
    EXPECT_EQ(planned(Recompute::attention).attention, all.attention / 3);
    EXPECT_EQ(planned(Recompute::attention).ffn, all.ffn);
    EXPECT_EQ(planned(Recompute::block).attention, all.attention / 3);
    EXPECT_EQ(planned(Recompute::block).ffn, all.ffn / 3);
    // The residual between a layer's two branches goes too.
    EXPECT_EQ(all.residual - planned(Recompute::block).residual, size_t(2 * kFloat * kTokens * kHidden));
    EXPECT_EQ(planned(Recompute::ffn).residual, all.residual);
}

// Of an FFN: its norm (and a number a row), gate, up, their product, and the result.
TEST(ModelMemory, ActivationsOfAnFfn) {
    EXPECT_EQ(planned(Recompute::none).ffn, size_t(3 * kFloat * kTokens * (kHidden + 1 + 3 * 128 + kHidden)));
    EXPECT_EQ(planned(Recompute::none, shared_by_two(false)).ffn,
              size_t(3 * kFloat * kTokens * (kHidden + 1 + 3 * 64 + kHidden)));
}

// Longer than the tables, or more tokens than there is room for.
TEST(ModelMemory, ABatchBeyondWhatWasPlannedIsRefused) {
    const ModelSpec spec = small_model("");
    Model<Cpu<float>> model(spec, {3, 20}, Recompute::none, Mode::inference);
    const std::vector<int32_t> tokens(80);
    for (const Batch fits : {Batch{3, 20}, Batch{60, 1}, Batch{1, 20}})
        EXPECT_NO_THROW(model.hidden_states(fits, tokens.data(), nullptr));
    for (const Batch large : {Batch{1, 21}, Batch{4, 20}, Batch{2, 31}})
        EXPECT_THROW(model.hidden_states(large, tokens.data(), nullptr), Failure) << large.sequences;
}

}  // namespace
}  // namespace sluice
