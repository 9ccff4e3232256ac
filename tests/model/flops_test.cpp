// FLOPs of a token, by hand: 6 a weight that multiplies it, forward and backward, and 12 a channel and key that it
// sees.
#include <gtest/gtest.h>

#include "model/counts.h"
#include "support/models.h"

namespace sluice {
namespace {

constexpr double kAttention = 4 * 8 * 8, kFfn = 3 * 8 * 6, kHead = 11 * 8;  // weights: small_model, of width 8
constexpr double kChannels = 12 * 2 * 8;                                    // of two layers

TEST(Flops, OfADenseModel) {
    const double weights = 2 * (kAttention + kFfn) + kHead;
    EXPECT_DOUBLE_EQ(flops_per_token(small_model(""), 16), 6 * weights + kChannels * 16 / 2);
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("tie_embeddings=true"), 16), 6 * weights + kChannels * 16 / 2);
    const double keys = 2 * 2 * 4 * 8;  // and values, of one head less in two layers
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("kv_heads=1"), 16), 6 * (weights - keys) + kChannels * 16 / 2);
}

// Tokens see 1, 2, 3 and then always 4: of 16 that is 4 x 16 less the triangle before, at half a key for itself.
TEST(Flops, OfAWindow) {
    const double weights = 2 * (kAttention + kFfn) + kHead, seen = (4.0 * 16 - 4.0 * 4 / 2) / 16;
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("attention={window: 4}"), 16), 6 * weights + kChannels * seen);
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("attention={window: 40}"), 16), 6 * weights + kChannels * 16 / 2);
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("attention={1: {window: 4}}"), 16),
                     6 * weights + kChannels / 2 * seen + kChannels / 2 * 16 / 2);
}

// A local layer, and a global one; ReLA multiplies as softmax does, and its norm and gate are vectors.
TEST(Flops, OfLayersThatDiffer) {
    const double weights = 2 * (kAttention + kFfn) + kHead, seen = (4.0 * 16 - 4.0 * 4 / 2) / 16;
    const double local = kChannels / 2 * seen, global = kChannels / 2 * 16 / 2;
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("attention={0: {window: 4}}"), 16), 6 * weights + local + global);
    const ModelSpec rela = small_model("attention={0: {window: 4}, 1: {kind: rela, rela_gate: true}}");
    EXPECT_DOUBLE_EQ(flops_per_token(rela, 16), 6 * weights + local + global);
    EXPECT_EQ(count_parameters(rela).total - count_parameters(small_model("")).total, 2 * 8);
}

// Of the experts those that a token meets; the router and the shared expert meet all.
TEST(Flops, OfAMixture) {
    const double experts = 2 * (3 * 8 * 5), shared = 3 * 8 * 4, router = 4 * 8;
    const double weights = 2 * (kAttention + experts + shared + router) + kHead;
    const ModelSpec spec = small_model("moe={experts: 4, top_k: 2, hidden: 5, shared_hidden: 4}");
    EXPECT_DOUBLE_EQ(flops_per_token(spec, 16), 6 * weights + kChannels * 16 / 2);
    const ParameterCounts n = count_parameters(spec);
    EXPECT_EQ(n.total - n.active, 2 * 2 * (3 * 8 * 5)) << "two experts of four, in two layers";
}

TEST(Flops, OfGates) {
    const double plain = flops_per_token(small_model(""), 16);
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("gates=[{position: sdpa, bias: true}]"), 16) - plain, 6 * 2 * 8 * 8);
    EXPECT_DOUBLE_EQ(flops_per_token(small_model("gates=[{position: sdpa, granularity: headwise}]"), 16) - plain,
                     6 * 2 * 2 * 8);
}

}  // namespace
}  // namespace sluice
