// What gpu_check says where two passes differ: the first tensor, forward and then backward (tests/gpu/compare.h).
#include <gtest/gtest.h>

#include <algorithm>

#include "gpu/judge.h"

namespace sluice {
namespace {

using B = Cuda<float>;
const Config& config() {
    static const Config config = model_config(Sizes::small, experts(Sizes::small));
    return config;
}
const Tokens& tokens() {
    static const Tokens tokens = tokens_of(config(), 2);
    return tokens;
}
const Weights& initial() {
    static const Weights weights = [] {
        Model<Cpu<float>> model(config().model, {1, 1}, Recompute::none, Mode::inference);
        model.initialise(config().run.seed);
        return weights_of(model);
    }();
    return weights;
}
const Passes& reference() {
    static const Passes passes = sluice::passes<Cpu<double>, float>(config(), tokens(), initial());
    return passes;
}
// With one element of a weight changed on the device.
Difference with_changed(const std::string& weight) {
    Weights changed = initial();
    const auto tensors = Model<PlannedFp32>::tensors(config().model);
    const auto at = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == weight; });
    EXPECT_NE(at, tensors.end()) << weight;
    changed[size_t(at - tensors.begin())][0] += 0.5f;
    return first_difference<float>(passes<B, float>(config(), tokens(), changed), reference());
}

TEST(CudaCompare, PassesAgree) {
    const Difference d = first_difference<float>(passes<B, float>(config(), tokens(), initial()), reference());
    EXPECT_FALSE(d.differs) << d.text();
    EXPECT_GT(d.relative, 0) << d.tensor;
    EXPECT_EQ(d.up_to, "");
}

TEST(CudaCompare, TheFirstTensorIsNamed) {
    EXPECT_EQ(with_changed("embedding.weight").tensor, "embedded");
    EXPECT_EQ(with_changed("layers.0.attention_norm.weight").tensor, "layers.0.attention.normed");
    EXPECT_EQ(with_changed("layers.1.attention.key.weight").tensor, "layers.1.attention.product");
    EXPECT_EQ(with_changed("layers.1.moe.shared.gate.weight").tensor, "layers.1.ffn.gate_up");
    EXPECT_EQ(with_changed("final_norm.weight").tensor, "final_normed");
    EXPECT_TRUE(with_changed("layers.1.attention.key.weight").differs);
}

// From the head to the embedding, where forward agrees.
TEST(CudaCompare, GradientsAreComparedBackwards) {
    Passes seen = reference();
    const auto change = [&](const std::string& name) {
        for (SeenTensor& t : seen.gradients)
            if (t.name == name) t.values[0] += 1;
        return first_difference<float>(seen, reference()).tensor;
    };
    EXPECT_EQ(change("gradient of embedding.weight"), "gradient of embedding.weight");
    EXPECT_EQ(change("gradient of layers.0.attention.query.weight"), "gradient of layers.0.attention.query.weight");
    EXPECT_EQ(change("gradient of layers.1.attention.value.weight"), "gradient of layers.1.attention.value.weight");
    seen.activations[3].values[0] += 1;
    EXPECT_EQ(first_difference<float>(seen, reference()).tensor, reference().activations[3].name);
}

TEST(CudaCompare, WhatIsNoNumberOrMissingDiffers) {
    const Seen want{{"a", {1, 2}}, {"b", {0, 3}}};
    EXPECT_TRUE(first_difference<float>({{"a", {1, 2}}}, want).differs);
    EXPECT_TRUE(first_difference<float>({{"a", {1, 2}}, {"c", {0, 3}}}, want).differs);
    EXPECT_TRUE(first_difference<float>({{"a", {1}}, {"b", {0, 3}}}, want).differs);
    EXPECT_TRUE(first_difference<bf16>({{"a", {1, std::nan("")}}, {"b", {0, 3}}}, want).differs);
    EXPECT_FALSE(first_difference<float>(want, want).differs);
    EXPECT_EQ(first_difference<float>({{"a", {1, 2 + 1e-7}}, {"b", {0, 3 + 1e-5}}}, want).tensor, "b");
}

// In bf16 rounding may change a few picks of a router, behind which rows are other tokens'.
TEST(CudaCompare, PicksMayDifferInBf16) {
    const Seen want{{"x", {1, 2}}, {"ids", std::vector<double>(20, 1), true}, {"y", {1, 2}}};
    Seen got = want;
    got[1].values[0] = 2;
    got[2].values = {5, 6};
    EXPECT_EQ(first_difference<float>(got, want).tensor, "ids");
    EXPECT_FALSE(first_difference<bf16>(got, want).differs);
    EXPECT_EQ(first_difference<bf16>(got, want).up_to, "ids");
    got[1].values.assign(20, 3);
    EXPECT_TRUE(first_difference<bf16>(got, want).differs);
}

Passes with(double activation, double gradient) {
    return {{{"layers.0.attention.lse", {-100, activation}}}, {{"gradient of x", {1, gradient}}}};
}
TEST(CudaCompare, AttentionIsJudgedByItsBits) {
    const Passes own = with(1, 2), exact = with(1, 2.001);
    EXPECT_EQ(judge_attention(own, own, exact, true).state, Outcome::pass);
    EXPECT_EQ(judge_attention(own, own, exact, false).state, Outcome::not_run);
    for (const Passes& near : {with(1.001, 2), with(1, 2.0005)}) {
        EXPECT_EQ(judge_attention(near, own, exact, true).state, Outcome::fail);
        EXPECT_EQ(judge_attention(near, own, exact, false).state, Outcome::pass);
    }
    EXPECT_EQ(judge_attention(with(1, 3), own, exact, false).state, Outcome::fail);
    EXPECT_EQ(judge_attention(with(20, 2), own, exact, false).state, Outcome::fail);
    EXPECT_EQ(judge_attention(with(1, NAN), own, exact, false).state, Outcome::fail);
    // Where our own is off by much, the other may be as well, but not by many times more.
    EXPECT_EQ(judge_attention(with(1, 2.5), with(1, 2.2), exact, false).state, Outcome::pass);
    EXPECT_EQ(judge_attention(with(1, 3), with(1, 2.2), exact, false).state, Outcome::fail);
    EXPECT_EQ(not_far(own), "");
    EXPECT_NE(not_far({{{"layers.0.attention.lse", {-3}}}, {}}), "");
    EXPECT_NE(not_far({{{"layers.0.attention.product", {-100}}}, {}}), "");
}

TEST(CudaCompare, MemoryIsJudgedByItsPlan) {
    EXPECT_EQ(judge_memory(100, 100, 130, 30).state, Outcome::pass);
    EXPECT_EQ(judge_memory(100, 100, 131, 30).state, Outcome::fail);
    EXPECT_EQ(judge_memory(100, 100, 99, 30).state, Outcome::fail);
    EXPECT_EQ(judge_memory(100, 101, 110, 30).state, Outcome::fail);
}

}  // namespace
}  // namespace sluice
