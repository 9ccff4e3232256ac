// By what models on Cuda<bf16> make attention, what they say of it, and the memory that it takes.
#include <gtest/gtest.h>

#include "config/load.h"
#include "kernels/attention_workspace.h"
#include "kernels/emu/emu.h"
#include "kernels/memory.h"
#include "support/sanitizers.h"
#include "train/step.h"

namespace sluice {
namespace {

constexpr int64_t kLength = 128, kVocab = 29, kLayers = 2, kMicroBatches = 2;
constexpr char kByLibrary[] = "cuDNN 9.19 (engine 2 forward, 6 backward)";

Config config_of(const std::vector<std::string>& keys) {
    std::vector<std::string> overrides{"model.layers=2",
                                       "model.hidden=64",
                                       "model.heads=2",
                                       "model.kv_heads=1",
                                       "model.head_dim=32",
                                       "model.vocab=29",
                                       "model.ffn.hidden=48",
                                       "model.gates=[]",
                                       "data.sequence_length=128",
                                       "data.train=[{path: none}]",
                                       "train.batch=2",
                                       "train.micro_batch=1",
                                       "train.steps=20",
                                       "optimizer.lr=0.001",
                                       "train.precision=bf16"};
    overrides.insert(overrides.end(), keys.begin(), keys.end());
    return load_config_text("", "test", overrides, Purpose::plan).config;
}
void samples(int64_t n, int32_t* tokens, int32_t* doc_start) {
    int64_t token = n * 11 % kVocab;
    for (int64_t t = 0; t <= kLength; t++) {
        tokens[t] = int32_t(token);
        token = t % 5 == 4 ? (n * 7 + t * 3) % kVocab : (token * 3 + 1) % kVocab;
        if (doc_start && t < kLength) doc_start[t] = int32_t(t / 70 * 70);
    }
}
template <class B>
std::vector<double> losses(const Config& config, int steps) {
    Trainer<B> trainer(config, solo_mesh(memory_of<B>()));
    std::vector<double> all;
    for (int i = 0; i < steps; i++) all.push_back(trainer.step(samples).loss);
    return all;
}

// runs: of plans, in a step.
struct Variant {
    const char* name;
    std::vector<std::string> keys;
    std::string attention = kByLibrary;
    int64_t runs = kMicroBatches * kLayers * 2;
};
const Variant kVariants[] = {
    {"plain", {}},
    {"no_qk_norm", {"model.qk_norm=false"}},
    {"value_gate", {"model.gates=[{position: value, granularity: elementwise}]"}},
    {"key_and_query_gate", {"model.gates=[{position: query}, {position: key}]", "model.qk_norm=false"}},
    {"switch_value", {"model.switch_heads={target: v, experts: 8, top_k: 2}"}},
    {"switch_key_value", {"model.switch_heads={target: kv, experts: 8, top_k: 2}", "model.qk_norm=false"}},
    {"window", {"model.attention={window: 20}"}},
    {"local_global", {"model.attention={0: {window: 20}, 1: {kind: softmax}}"}},
    {"half_rela",
     {"model.attention={0: {kind: rela}, 1: {kind: softmax}}"},
     std::string("own: ReLA; ") + kByLibrary,
     kMicroBatches * 2},
    {"rela", {"model.attention={kind: rela}"}, "own: ReLA", 0},
    {"rela_own",
     {"model.attention={0: {kind: softmax}, 1: {kind: rela}}", "train.attention=own"},
     "own: train.attention; own: ReLA",
     0},
    {"recompute", {"train.recompute=attention"}, kByLibrary, kMicroBatches*(kLayers * 2 + 1)},
    {"own", {"train.attention=own"}, "own: train.attention", 0},
    {"documents", {"data.document_mask=true"}, "own: documents", 0},
    {"dim", {"model.head_dim=40"}, "own: head_dim is none of 32, 64, 96 and 128", 0},
    // A row of the product has columns of queries, keys and values, and one of the gate's scores for each head.
    {"odd_columns",
     {"model.gates=[{position: sdpa, granularity: headwise}]", "model.qk_norm=false"},
     "own: rows are not aligned to 16 bytes",
     0},
};
class CudaAttentionOfModels : public testing::TestWithParam<Variant> {};
INSTANTIATE_TEST_SUITE_P(Variants, CudaAttentionOfModels, testing::ValuesIn(kVariants),
                         [](const auto& variant) { return variant.param.name; });

TEST_P(CudaAttentionOfModels, IsWhatTheySay) {
    const Variant& variant = GetParam();
    const Config config = config_of(variant.keys);
    Trainer<Cuda<bf16>> trainer(config, solo_mesh(memory_of<Cuda<bf16>>()));
    EXPECT_EQ(trainer.model().attention(), variant.attention);
    const int steps = kSanitized || variant.runs == 0 ? 1 : 2;  // kernels of our own take long here
    const std::vector<double> cpu = losses<Cpu<float>>(config, steps);
    for (int i = 0; i < steps; i++) {
        const int64_t runs = emu::plans_run(), allocations = emu::allocations();
        EXPECT_NEAR(trainer.step(samples).loss, cpu[size_t(i)], 0.01 * cpu[0]) << "step " << i + 1;
        EXPECT_EQ(emu::plans_run() - runs, variant.runs);
        if (i > 0) { EXPECT_EQ(emu::allocations(), allocations); }
    }
}

// The workspace is counted where it is used, and nowhere else.
TEST_P(CudaAttentionOfModels, TakesThePlannedMemory) {
    const Config config = config_of(GetParam().keys);
    const Batch batch{config.train.micro_batch, kLength};
    for (const Mode mode : {Mode::training, Mode::inference, Mode::inspection}) {
        const ModelBytes planned = plan_activations<PlannedBf16>(config.model, batch, config.train.recompute, mode);
        const Model<Cuda<bf16>> model(config.model, batch, config.train.recompute, mode);
        EXPECT_EQ(model.bytes().scratch, planned.scratch);
        EXPECT_EQ(model.bytes().activations(), planned.activations());
    }
}

TEST(CudaAttentionOfAModel, HasAWorkspaceWhereItTrainsByTheLibrary) {
    const auto scratch = [](const std::vector<std::string>& keys, Mode mode) {
        const Config config = config_of(keys);
        return plan_activations<PlannedBf16>(config.model, {8, kLength}, config.train.recompute, mode).scratch;
    };
    const AttentionShape n{8, kLength, 2, 1, 32, 0, 1};
    const size_t bytes = (attention_workspace<PlannedBf16>(n) + kAlignment - 1) / kAlignment * kAlignment;
    const size_t by_own = scratch({"train.attention=own"}, Mode::training);
    EXPECT_EQ(scratch({}, Mode::training), by_own + bytes);
    EXPECT_EQ(scratch({"data.document_mask=true"}, Mode::training), by_own);
    EXPECT_EQ(scratch({}, Mode::inspection), scratch({"train.attention=own"}, Mode::inspection));
}

TEST(CudaAttentionOfAModel, IsForwardAloneInInference) {
    const Config config = config_of({});
    const Model<Cuda<bf16>> model(config.model, {2, kLength}, Recompute::none, Mode::inference);
    EXPECT_EQ(model.attention(), "cuDNN 9.19 (engine 2 forward)");
    const Model<Cuda<float>> in_float(config.model, {2, kLength}, Recompute::none, Mode::inference);
    EXPECT_EQ(in_float.attention(), "own: fp32");
    const Model<Cpu<float>> on_cpu(config.model, {2, kLength}, Recompute::none, Mode::inference);
    EXPECT_EQ(on_cpu.attention(), "");
    const Config rela = config_of({"model.attention={kind: rela}"});
    const Model<Cuda<float>> rela_in_float(rela.model, {2, kLength}, Recompute::none, Mode::inference);
    EXPECT_EQ(rela_in_float.attention(), "own: ReLA");
    const Model<Cpu<float>> rela_on_cpu(rela.model, {2, kLength}, Recompute::none, Mode::inference);
    EXPECT_EQ(rela_on_cpu.attention(), "");
}

}  // namespace
}  // namespace sluice
