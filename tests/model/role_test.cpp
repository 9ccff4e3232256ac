// Roles and initial values of every kind of tensor: matrices decay; norms, biases, constants and the embedding do not.
#include <gtest/gtest.h>

#include <map>

#include "support/models.h"

namespace sluice {
namespace {

// By names within a layer.
std::map<std::string, TensorInfo> tensors_of(const std::string& keys) {
    std::map<std::string, TensorInfo> tensors;
    for (const TensorInfo& t : Model<Cpu<float>>::tensors(small_model(keys))) {
        const std::string prefix = "layers.0.";
        tensors.emplace(t.name.starts_with(prefix) ? t.name.substr(prefix.size()) : t.name, t);
    }
    return tensors;
}

const char* const kAll =
    "sandwich_norm=true;attention={kind: rela, rela_gate: true, sdpa_norm: rmsnorm};moe={experts: 4, top_k: 2, hidden: "
    "6, shared_hidden: 4, "
    "balance: "
    "bias};switch_heads={target: v, experts: 3, top_k: 2};gates=[{position: sdpa, bias: true}, {position: query, "
    "input: "
    "none}]";

TEST(Role, OfEveryTensor) {
    const auto all = tensors_of(kAll);
    for (const char* name :
         {"attention.query.weight", "attention.key.weight", "attention.value.experts.weight", "attention.output.weight",
          "attention.gates.0.weight", "moe.experts.gate.weight", "moe.experts.down.weight", "moe.shared.up.weight"}) {
        ASSERT_TRUE(all.count(name)) << name;
        EXPECT_EQ(all.at(name).role, Role::map) << name;
    }
    for (const char* name : {"attention.value.router.weight", "moe.router.weight", "head.weight"}) {
        ASSERT_TRUE(all.count(name)) << name;
        EXPECT_EQ(all.at(name).role, Role::rows) << name;
    }
    for (const char* name :
         {"embedding.weight", "final_norm.weight", "attention_norm.weight", "attention_post_norm.weight",
          "ffn_norm.weight", "ffn_post_norm.weight", "attention.query_norm.weight", "attention.key_norm.weight",
          "attention.sdpa_norm.weight", "attention.rela_norm.weight", "attention.rela_gate.weight",
          "attention.gates.0.bias", "attention.gates.1.constant"}) {
        ASSERT_TRUE(all.count(name)) << name;
        EXPECT_EQ(all.at(name).role, Role::plain) << name;
    }
    EXPECT_EQ(all.at("moe.router.bias").role, Role::untrained);
    for (const auto& [name, t] : all)
        EXPECT_EQ(decays(t.role), name.ends_with("weight") && t.shape.size() > 1 && name != "embedding.weight") << name;
}

// ReLA begins as its norm times a half.
TEST(Initial, OfReLA) {
    const auto all = tensors_of(kAll);
    EXPECT_EQ(all.at("attention.rela_norm.weight").init.kind, Init::one);
    EXPECT_EQ(all.at("attention.rela_gate.weight").init.kind, Init::zero);
    EXPECT_EQ(all.at("attention.rela_norm.weight").shape, (std::vector<int64_t>{2 * 4}));
}

// What adds to the residual begins smaller, by the root of the number of what adds: two a layer.
TEST(Initial, WhatAddsToTheResidualIsSmaller) {
    const double residual = 0.02 / std::sqrt(2 * 2);
    const auto mixture = tensors_of(kAll), dense = tensors_of("");
    for (const TensorInfo& t : {mixture.at("attention.output.weight"), mixture.at("moe.experts.down.weight"),
                                mixture.at("moe.shared.down.weight"), dense.at("ffn.down.weight")})
        EXPECT_DOUBLE_EQ(t.init.std, residual) << t.name;
    for (const TensorInfo& t : {mixture.at("attention.query.weight"), mixture.at("attention.value.experts.weight"),
                                mixture.at("attention.gates.0.weight"), mixture.at("moe.router.weight"),
                                mixture.at("moe.experts.up.weight"), mixture.at("moe.shared.gate.weight"),
                                dense.at("ffn.up.weight"), dense.at("embedding.weight"), dense.at("head.weight")})
        EXPECT_DOUBLE_EQ(t.init.std, 0.02) << t.name;
}

}  // namespace
}  // namespace sluice
