// The configs of the repository load, and say what the paper's table says.
#include <filesystem>
#include <fstream>
#include <set>

#include "config/text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
const fs::path kConfigFolder = fs::path(SLUICE_SOURCE_DIR) / "configs";

Config load(const std::string& name) { return load_config((kConfigFolder / name).string(), {}, Purpose::plan).config; }

// A model with a fragment of configs/gates over it.
Config with_fragment(const std::string& model, const std::string& fragment) {
    const std::string over = (kConfigFolder / "gates" / (fragment + ".yaml")).string();
    return load_config((kConfigFolder / model).string(), {over}, Purpose::plan).config;
}

// Leaves that a fragment changes of a model.
std::map<std::string, std::string> changes(const std::string& fragment,
                                           const std::string& model = "models/dense_1p7b_28.yaml") {
    std::map<std::string, std::string> changed;
    for (auto& [path, text] : flatten(with_fragment(model, fragment))) changed[path] = text;
    for (auto& [path, text] : flatten(load(model)))
        if (changed.count(path) && changed[path] == text) changed.erase(path);
    return changed;
}

TEST(Configs, ModelsOfTable7) {
    const Config a = load("models/dense_1p7b_28.yaml"), b = load("models/dense_1p7b_48.yaml");
    EXPECT_EQ(a.model.layers, 28);
    EXPECT_EQ(a.model.ffn.hidden, 6144);
    EXPECT_EQ(b.model.layers, 48);
    EXPECT_EQ(b.model.hidden, 1536);
    for (auto& c : {a, b}) {
        EXPECT_EQ(c.model.heads, 16);
        EXPECT_EQ(c.model.kv_heads, 8);
        EXPECT_EQ(c.model.head_dim, 128);
        EXPECT_EQ(c.model.vocab, 151936);
        EXPECT_TRUE(c.model.tie_embeddings && c.model.qk_norm);
        EXPECT_EQ(c.data.sequence_length, 4096);
        EXPECT_EQ(c.optimizer.lr, 4e-3);
    }
    const Config m = load("models/moe_15a2b.yaml");
    EXPECT_EQ(m.model.moe.experts, 128);
    EXPECT_EQ(m.model.moe.top_k, 8);
    EXPECT_EQ(m.model.kv_heads, 4);
    EXPECT_FALSE(m.model.tie_embeddings);
    EXPECT_EQ(m.schedule.final_lr, 3e-5);
}

// There is a file for each row of the paper's tables, and beside them one of every activation at least.
TEST(Configs, EveryGateFileLiesOverEveryModelAndNamesItsRow) {
    int rows = 0;
    std::set<Activation> activations;
    for (auto& entry : fs::directory_iterator(kConfigFolder / "gates")) {
        const std::string name = entry.path().stem().string();
        std::ifstream in(entry.path());
        std::string head;
        std::getline(in, head);
        rows += head.starts_with("# Table ");
        EXPECT_TRUE(head.starts_with("# Table ") || head.starts_with("# Beside the paper's rows, "))
            << name << ": " << head;
        EXPECT_EQ(changes(name).empty(), name == "none") << name;
        for (const char* model : {"models/dense_1p7b_48.yaml", "models/moe_15a2b.yaml", "quickstart.yaml"})
            EXPECT_EQ(with_fragment(model, name).run.name, fs::path(model).stem()) << name;
        const Config config = with_fragment("quickstart.yaml", name);
        for (const GateSpec& gate : config.model.gates.at(0)) activations.insert(gate.activation);
    }
    EXPECT_EQ(rows, 25);
    for (const auto& [word, activation] : EnumNames<Activation>::all)
        EXPECT_TRUE(activations.count(activation)) << "no file has " << word;
}

// Rows without a gate have none over a model that has one; gates of a row replace the model's.
TEST(Configs, GateFilesReplaceTheGatesOfAModel) {
    for (const char* row : {"none", "sdpa_norm", "sandwich_norm", "residual_clip_100", "switch_v_1_top_1"})
        EXPECT_TRUE(with_fragment("quickstart.yaml", row).model.gates.all.empty()) << row;
    EXPECT_EQ(changes("value_headwise", "quickstart.yaml"),
              (std::map<std::string, std::string>{{"model.gates.0.position", "value"},
                                                  {"model.gates.0.granularity", "headwise"}}));
    EXPECT_TRUE(changes("sdpa_elementwise", "quickstart.yaml").empty());
}

TEST(Configs, GateFilesChangeOnlyTheirRow) {
    const auto gate = changes("sdpa_additive_silu");
    EXPECT_EQ(gate.at("model.gates.0.combine"), "add");
    EXPECT_EQ(gate.at("model.gates.0.activation"), "silu");
    for (auto& [path, text] : gate) EXPECT_TRUE(path.starts_with("model.gates.0.")) << path;
    using Changes = std::map<std::string, std::string>;
    EXPECT_EQ(changes("sdpa_norm"), (Changes{{"model.attention.sdpa_norm", "rmsnorm"}}));
    EXPECT_EQ(changes("sandwich_norm"), (Changes{{"model.sandwich_norm", "true"}}));
    EXPECT_EQ(changes("residual_clip_300"), (Changes{{"model.residual_clip", "300"}}));
    EXPECT_EQ(changes("switch_v_8_top_2"), (Changes{{"model.switch_heads.target", "v"},
                                                    {"model.switch_heads.experts", "8"},
                                                    {"model.switch_heads.top_k", "2"}}));
}

}  // namespace
}  // namespace sluice
