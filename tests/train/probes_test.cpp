// Probes of training: what they say, and that looking changes nothing.
#include <cmath>

#include "config/load.h"
#include "eval/inspect.h"
#include "support/collected.h"
#include "train/step.h"

namespace sluice {
namespace {

constexpr int64_t kProbedLength = 6, kProbedVocab = 13;

void probed_samples(int64_t n, int32_t* tokens, int32_t* doc_start) {
    for (int64_t t = 0; t <= kProbedLength; t++) tokens[t] = int32_t((5 * n + t * t) % kProbedVocab);
    for (int64_t t = 0; doc_start && t < kProbedLength; t++) doc_start[t] = int32_t(t / 4 * 4);
}

Config probed_config(std::vector<std::string> keys, int ranks = 1) {
    const std::vector<std::string> common{"model.layers=2",
                                          "model.hidden=16",
                                          "model.heads=4",
                                          "model.kv_heads=2",
                                          "model.vocab=13",
                                          "model.ffn.hidden=8",
                                          "data.sequence_length=6",
                                          "train.batch=8",
                                          "train.steps=9",
                                          "optimizer.lr=0.01",
                                          "data.train=[{path: none}]",
                                          "probes.every=2"};
    keys.insert(keys.begin(), common.begin(), common.end());
    Config config = load_config_text("", "test", keys, Purpose::plan).config;
    config.train.micro_batch = 2;
    resolve_ranks(config, ranks);
    return config;
}

struct ProbedRun {
    std::vector<StepResult> steps;
    WholeTensors state;
};
ProbedRun train_probed(const Config& config, int ranks, int64_t steps) {
    ProbedRun run;
    Collected last;
    run_threads(ranks, [&](Comm& comm) {
        Mesh mesh(comm, mesh_shape(config.model, config.parallel));
        Trainer<Cpu<double>> trainer(config, mesh);
        for (int64_t s = 0; s < steps; s++) {
            const StepResult result = trainer.step(probed_samples);
            if (comm.rank() == 0) run.steps.push_back(result);
        }
        last.add(trainer);
    });
    run.state = last.state;
    return run;
}

const std::string kAllGates =
    "model.gates=[{position: query, bias: true}, {position: value, granularity: headwise}, {position: sdpa, heads: "
    "averaged}, {position: key, heads: shared}, {position: output}, {position: sdpa, input: none}]";

TEST(Probes, LookEveryFewStepsAndChangeNothing) {
    for (const char* recompute : {"none", "ffn", "block"}) {
        std::vector<std::string> keys{kAllGates, std::string("train.recompute=") + recompute};
        const ProbedRun looked = train_probed(probed_config(keys), 1, 4);
        keys.push_back("probes.every=0");
        const ProbedRun plain = train_probed(probed_config(keys), 1, 4);
        EXPECT_EQ(looked.state, plain.state) << recompute;
        for (size_t s = 0; s < 4; s++) {
            EXPECT_EQ(looked.steps[s].loss, plain.steps[s].loss);
            EXPECT_EQ(looked.steps[s].look.size(), s % 2 == 1 ? 2u : 0u);
            EXPECT_TRUE(plain.steps[s].look.empty());
        }
    }
}

// A look is at its own step alone, whatever was looked at before.
TEST(Probes, BeginAnewAtEveryLook) {
    const ProbedRun second = train_probed(probed_config({kAllGates}), 1, 4);
    const ProbedRun every = train_probed(probed_config({kAllGates, "probes.every=1"}), 1, 4);
    for (size_t l = 0; l < 2; l++) {
        const LayerLook &a = every.steps[3].look[l], &b = second.steps[3].look[l], &c = every.steps[0].look[l];
        for (const auto number : {&LayerLook::gate_mean, &LayerLook::f_attn, &LayerLook::entropy, &LayerLook::max_logit,
                                  &LayerLook::m_act, &LayerLook::sdpa_mean, &LayerLook::gated_mean}) {
            EXPECT_EQ(a.*number, b.*number);
            EXPECT_NE(a.*number, c.*number);
        }
        EXPECT_EQ(a.gates->shares, b.gates->shares);
    }
}

// Queries of 0 attend to all that they see alike, and gates of 0 are one half.
TEST(Probes, OfWeightsThatAreKnown) {
    const ProbedRun course =
        train_probed(probed_config({"model.init_std=1e-30", "model.qk_norm=false", "probes.every=1",
                                    "model.gates={1: [{position: sdpa, scale: 0.12}]}"}),
                     1, 1);
    const std::vector<LayerLook>& look = course.steps[0].look;
    ASSERT_EQ(look.size(), 2u);
    double first = 0, entropy = 0;
    for (int64_t t = 1; t <= kProbedLength; t++)
        first += 1.0 / double(t) / double(kProbedLength), entropy += std::log(t) / kProbedLength;
    for (const LayerLook& layer : look) {
        ASSERT_TRUE(layer.f_attn);
        EXPECT_NEAR(*layer.f_attn, first, 1e-12);
        EXPECT_NEAR(*layer.entropy, entropy, 1e-12);
        EXPECT_NEAR(*layer.max_logit, 0, 1e-12);
        EXPECT_GT(*layer.m_act, 0);
        EXPECT_LT(*layer.m_act, 1e-28);
        EXPECT_GT(*layer.sdpa_mean, 0);
        EXPECT_EQ(layer.sdpa_small, 1);
        EXPECT_FALSE(layer.expert_load);
    }
    EXPECT_FALSE(look[0].gate_mean);
    EXPECT_FALSE(look[0].gates);
    EXPECT_FALSE(look[0].gated_mean);
    ASSERT_TRUE(look[1].gate_mean);
    EXPECT_NEAR(*look[1].gate_mean, 0.06, 1e-12);
    EXPECT_EQ(look[1].gate_sparsity, 1);
    EXPECT_EQ(look[1].gates->shares, std::vector<double>{1});
    EXPECT_NEAR(look[1].gates->low, 0.05, 1e-12);
    EXPECT_NEAR(*look[1].gated_mean, 0.06 * *look[1].sdpa_mean, 1e-12 * *look[1].sdpa_mean);
}

TEST(Probes, OfReluAttentionAreOfItsGatesAlone) {
    const ProbedRun course = train_probed(
        probed_config({"model.attention={kind: rela}", "model.gates=[{position: value}]", "probes.every=1"}), 1, 1);
    for (const LayerLook& layer : course.steps[0].look) {
        EXPECT_TRUE(layer.gate_mean);
        EXPECT_FALSE(layer.f_attn);
        EXPECT_FALSE(layer.max_logit);
        EXPECT_GT(*layer.sdpa_mean, 0);
    }
}

TEST(Probes, OfAMeshAreThoseOfOneRank) {
    const std::vector<std::string> models[] = {
        {kAllGates, "data.document_mask=true", "probes.every=1"},
        {"model.gates=[{position: sdpa, granularity: headwise}, {position: key}]",
         "model.moe={experts: 4, top_k: 2, hidden: 8}", "probes.every=1"}};
    const struct {
        int ranks;
        std::vector<std::string> keys;
    } meshes[] = {{2, {}},
                  {2, {"parallel.tensor=2"}},
                  {4, {"parallel.tensor=4"}},
                  {4, {"parallel.tensor=4", "parallel.sequence=true"}},
                  {4, {"parallel.tensor=2", "parallel.sequence=true", "parallel.zero=1"}}};
    for (const auto& model : models) {
        const ProbedRun one = train_probed(probed_config(model), 1, 1);
        for (const auto& [ranks, mesh] : meshes) {
            std::vector<std::string> keys = model;
            keys.insert(keys.end(), mesh.begin(), mesh.end());
            SCOPED_TRACE(testing::PrintToString(keys));
            const ProbedRun many = train_probed(probed_config(keys, ranks), ranks, 1);
            ASSERT_EQ(many.steps[0].look.size(), 2u);
            for (size_t l = 0; l < 2; l++) {
                const LayerLook &a = many.steps[0].look[l], &b = one.steps[0].look[l];
                for (const auto number :
                     {&LayerLook::gate_mean, &LayerLook::gate_sparsity, &LayerLook::f_attn, &LayerLook::entropy,
                      &LayerLook::max_logit, &LayerLook::m_act, &LayerLook::sdpa_mean, &LayerLook::sdpa_small,
                      &LayerLook::gated_mean, &LayerLook::gated_small, &LayerLook::expert_load,
                      &LayerLook::router_entropy}) {
                    ASSERT_EQ((a.*number).has_value(), (b.*number).has_value());
                    if (a.*number) { EXPECT_NEAR(*(a.*number), *(b.*number), 1e-10 * (1 + std::abs(*(b.*number)))); }
                }
                EXPECT_EQ(a.gates->shares, b.gates->shares);
                EXPECT_EQ(a.gates->low, b.gates->low);
                EXPECT_EQ(a.expert_load.has_value(), probed_config(keys, ranks).model.moe.experts > 0);
            }
        }
    }
}

// At the first step's weights, over its samples as a text.
TEST(Probes, AreThoseOfAnInspection) {
    for (const char* moe : {"model.moe={experts: 4, top_k: 2, hidden: 8}", "model.moe={experts: 0}"}) {
        const Config config = probed_config({kAllGates, moe, "probes.every=1", "data.document_mask=true"});
        const std::vector<LayerLook> look = train_probed(config, 1, 1).steps[0].look;
        Model<Cpu<double>> model(config.model, {2, kProbedLength}, Recompute::none, Mode::inspection);
        model.initialise(config.run.seed);
        InspectedText text{{}, {}, kProbedLength, 2};
        for (int64_t n = 0; n < config.train.batch; n++) {
            std::vector<int32_t> tokens(kProbedLength + 1), starts(kProbedLength);
            probed_samples(n, tokens.data(), starts.data());
            text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end() - 1);
            text.doc_start.insert(text.doc_start.end(), starts.begin(), starts.end());
        }
        const Inspection inspection = inspect(model, text);
        for (size_t l = 0; l < 2; l++) {
            const LayerLook a = look_at(inspection.layers[l].sums), &b = look[l];
            for (const auto number :
                 {&LayerLook::gate_mean, &LayerLook::gate_sparsity, &LayerLook::f_attn, &LayerLook::entropy,
                  &LayerLook::max_logit, &LayerLook::m_act, &LayerLook::sdpa_mean, &LayerLook::gated_small,
                  &LayerLook::gated_mean, &LayerLook::expert_load, &LayerLook::router_entropy}) {
                ASSERT_EQ((a.*number).has_value(), (b.*number).has_value());
                if (a.*number) { EXPECT_NEAR(*(a.*number), *(b.*number), 1e-12 * (1 + std::abs(*(b.*number)))); }
            }
            EXPECT_EQ(a.gates->shares, b.gates->shares);
        }
    }
}

}  // namespace
}  // namespace sluice
