// Whole models on Cuda<float> and Cuda<bf16>, run by the emulator, against Cpu<float>.
#include <gtest/gtest.h>

#include <algorithm>

#include "cuda/small.h"
#include "kernels/autotune.h"
#include "support/sanitizers.h"

namespace sluice {
namespace {

constexpr int kSteps = kSanitized ? 2 : 20;

template <class B>
std::vector<double> losses(const Config& config) {
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
    std::vector<double> all;
    for (int i = 0; i < kSteps; i++) all.push_back(trainer.step(small_samples).loss);
    return all;
}

struct Variant {
    const char* name;
    std::vector<std::string> keys;
};
const Variant kVariants[] = {
    {"plain", {}},
    {"sdpa_elementwise", {"model.gates=[{position: sdpa, granularity: elementwise}]"}},
    {"sdpa_headwise", {"model.gates=[{position: sdpa, granularity: headwise}]"}},
    {"sdpa_shared", {"model.gates=[{position: sdpa, granularity: elementwise, heads: shared}]"}},
    {"sdpa_averaged", {"model.gates=[{position: sdpa, granularity: elementwise, heads: averaged}]"}},
    {"sdpa_headwise_shared", {"model.gates=[{position: sdpa, granularity: headwise, heads: shared}]"}},
    {"sdpa_add", {"model.gates=[{position: sdpa, granularity: elementwise, combine: add, activation: silu}]"}},
    {"sdpa_ns_sigmoid", {"model.gates=[{position: sdpa, granularity: elementwise, activation: ns_sigmoid}]"}},
    {"sdpa_identity", {"model.gates=[{position: sdpa, granularity: elementwise, activation: identity}]"}},
    {"sdpa_softplus", {"model.gates=[{position: sdpa, granularity: elementwise, activation: softplus}]"}},
    {"sdpa_tanh", {"model.gates=[{position: sdpa, granularity: headwise, activation: tanh}]"}},
    {"sdpa_constant", {"model.gates=[{position: sdpa, granularity: elementwise, input: none}]"}},
    {"sdpa_doubled", {"model.gates=[{position: sdpa, scale: 2, init_std: 0}]"}},
    {"input_width", {"model.gates=[{position: sdpa, input_width: 5}, {position: output, input_width: 8}]"}},
    {"low_rank",
     {"model.gates=[{position: sdpa, rank: 6, rank_activation: silu}, {position: value, rank: 3, heads: shared}, "
      "{position: output, rank: 4, input_width: 9}]"}},
    {"query_gate", {"model.gates=[{position: query, granularity: elementwise, bias: true}]"}},
    {"key_gate", {"model.gates=[{position: key, granularity: elementwise}]"}},
    {"value_gate", {"model.gates=[{position: value, granularity: headwise}]"}},
    {"output_gate", {"model.gates=[{position: output, granularity: elementwise}]"}},
    {"all_gates",
     {"model.gates=[{position: query}, {position: key}, {position: value}, {position: sdpa}, {position: output}]"}},
    {"switch_value", {"model.switch_heads={target: v, experts: 3, top_k: 2}"}},
    {"switch_key_value", {"model.switch_heads={target: kv, experts: 3, top_k: 2}"}},
    {"rela", {"model.attention={kind: rela}"}},
    {"rela_gate", {"model.attention={kind: rela, rela_gate: true}"}},
    {"local_global", {"model.attention={0: {window: 4}, 1: {kind: softmax}}"}},
    {"tied", {"model.tie_embeddings=true"}},
    {"sandwich_clip", {"model.sandwich_norm=true", "model.residual_clip=1.5"}},
    {"window", {"model.attention={window: 5}"}},
    {"documents", {"data.document_mask=true"}},
    {"yarn", {"model.rope={scaling: yarn, factor: 4, original_length: 6}"}},
    {"no_qk_norm", {"model.qk_norm=false"}},
    {"sdpa_norm_silu", {"model.attention={sdpa_norm: rmsnorm, sdpa_activation: silu}"}},
    {"moe_global", {"model.moe={experts: 4, top_k: 2, hidden: 24, balance: global_batch}"}},
    {"moe_micro_shared", {"model.moe={experts: 4, top_k: 1, hidden: 24, balance: micro_batch, shared_hidden: 16}"}},
    {"moe_bias", {"model.moe={experts: 4, top_k: 2, hidden: 24, balance: bias}"}},
    {"moe_none", {"model.moe={experts: 3, top_k: 3, hidden: 24, balance: none, norm_top_k: false}"}},
    {"muon", {"optimizer.kind=muon"}},
    {"recompute", {"train.recompute=block"}},
};

class CudaModel : public testing::TestWithParam<Variant> {};
INSTANTIATE_TEST_SUITE_P(Variants, CudaModel, testing::ValuesIn(kVariants),
                         [](const auto& variant) { return variant.param.name; });

TEST_P(CudaModel, FollowsTheCpuInFloat) {
    const Config config = small_config(GetParam().keys);
    const std::vector<double> cpu = losses<Cpu<float>>(config), cuda = losses<Cuda<float>>(config);
    for (int i = 0; i < kSteps; i++) EXPECT_NEAR(cuda[size_t(i)], cpu[size_t(i)], 1e-5 * cpu[0]) << "step " << i + 1;
}

TEST_P(CudaModel, FollowsTheCpuInBf16) {
    const Config config = small_config(GetParam().keys);
    const std::vector<double> cpu = losses<Cpu<float>>(config), cuda = losses<Cuda<bf16>>(config);
    for (int i = 0; i < kSteps; i++) EXPECT_NEAR(cuda[size_t(i)], cpu[size_t(i)], 0.01 * cpu[0]) << "step " << i + 1;
    if (!kSanitized) { EXPECT_LT(cuda.back(), cuda.front()); }
}

// A step leaves the choices of its products behind, for checkpoints: forward, backward and Muon's.
TEST(CudaStep, KeepsTheChoicesOfItsProducts) {
    Trainer<Cuda<bf16>> trainer(small_config({"optimizer.kind=muon"}), solo_mesh(memory_of<Cuda<bf16>>()));
    const auto choices = [] {
        for (const AutotuneSection& section : export_autotune())
            if (section.machine.starts_with("cublaslt-")) return section.lines;
        return std::set<std::string>();
    };
    trainer.step(small_samples);
    const std::set<std::string> first = choices();
    for (const char* kind : {" nn bf16 bf16 set ", " nt bf16 bf16 set ", " tt bf16 fp32 add ", " nn bf16 bf16 base "})
        EXPECT_TRUE(std::any_of(first.begin(), first.end(), [&](const std::string& line) {
            return line.find(kind) != line.npos;
        })) << kind;
    trainer.step(small_samples);
    EXPECT_EQ(choices(), first);
}

// The host waits for the device where it reads a step's numbers, and nowhere else.
TEST(CudaStep, TheHostWaitsOnce) {
    const Config config = small_config({"model.moe={experts: 4, top_k: 2, hidden: 24}"});
    Memory& memory = memory_of<Cuda<bf16>>();
    Trainer<Cuda<bf16>> trainer(config, solo_mesh(memory));
    for (int i = 0; i < 3; i++) {
        const int64_t before = memory.waits();
        trainer.step(small_samples);
        EXPECT_EQ(memory.waits(), before + 1);
    }
}

}  // namespace
}  // namespace sluice
