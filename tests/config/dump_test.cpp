#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/text.h"

namespace sluice {
namespace {

const std::vector<Overrides> kConfigs{
    {},
    {"model.gates=[{position: sdpa, init_std: 0.1}, {position: output, input: none}]"},
    {"model.gates={0-1: [{position: key}], 3: [], 2: [{}, {bias: true}]}"},
    {"model.gates={}"},
    {"model.attention={kind: rela, rela_gate: true, window: 3}"},
    {"model.attention={2: {sdpa_norm: rmsnorm}, 0-1: {window: 4}}", "model.gates={3: [{}]}"},
    {"optimizer.lr=0.1", "optimizer.eps=4.9e-324", "optimizer.grad_clip=1.7976931348623157e308", "optimizer.beta2=0.1"},
    {"optimizer.lr=0.30000000000000004", "model.rope={scaling: yarn, factor: 3.3, original_length: 7}"},
    {"data.train=[{path: \"a b\"}, {path: \"#x: 'y'\", weight: 0.5}]", "data.validation=[{name: n, path: \"- [\"}]"},
    {"sample.prompt=\"\\\"Oh!\\\"\\n\\tshe said \\\\ 'é' \\x01 \\u2028\"", "data.delimiter=3", "run.name=null x"},
    {"sample.prompt=true", "run.dir=12", "run.name=\"~\"", "data.tokenizer=\"null\"", "checkpoint.init_from=\"\""},
    {"run.seed=1099511627776", "device=cpu", "train.recompute=block", "checkpoint.async=false"}};

TEST(Dump, LoadsBackToTheSameConfig) {
    for (auto& overrides : kConfigs) {
        const Config before = small(overrides);
        const std::string yaml = dump_yaml(before);
        const Config after = load_config_text(yaml, "other.yaml", {}, Purpose::train).config;
        EXPECT_EQ(flatten(after), flatten(before));
        EXPECT_EQ(dump_yaml(after), yaml);
        EXPECT_EQ(after.optimizer.lr, before.optimizer.lr);
        EXPECT_EQ(after.optimizer.eps, before.optimizer.eps);
        EXPECT_EQ(after.sample.prompt, before.sample.prompt);
        EXPECT_EQ(after.model.gates.per_layer, before.model.gates.per_layer);
        EXPECT_EQ(after.model.attention.per_layer, before.model.attention.per_layer);
        EXPECT_EQ(dump_json(after), dump_json(before));
    }
}

TEST(Dump, WithOriginsLoadsBackToo) {
    for (auto& overrides : kConfigs) {
        const Loaded before = load_config_text(kSmall, "odd # name.yaml", overrides, Purpose::train);
        const std::string yaml = dump_yaml_with_origins(before);
        const Config after = load_config_text(yaml, "c.yaml", {}, Purpose::train).config;
        EXPECT_EQ(flatten(after), flatten(before.config));
        std::istringstream lines(yaml);
        size_t noted = 0;
        for (std::string line; std::getline(lines, line);) noted += contains(line, " # ");
        EXPECT_GE(noted, flatten(before.config).size());
    }
    const std::string yaml =
        dump_yaml_with_origins(load_config_text(kSmall, "c.yaml", {"log.every=3"}, Purpose::train));
    EXPECT_TRUE(contains(yaml, "layers: 4")) << yaml;
    EXPECT_TRUE(contains(yaml, "# c.yaml:2:17\n")) << yaml;
    EXPECT_TRUE(contains(yaml, "# command line\n"));
    EXPECT_TRUE(contains(yaml, "# default\n"));
}

TEST(Dump, PlanWithoutDataLoadsBack) {
    const std::string text =
        "model: {layers: 1, hidden: 8, heads: 1, vocab: 9, moe: {experts: 2, top_k: 1, hidden: 4}}\n"
        "data: {sequence_length: 4}\ntrain: {batch: 1}\n";
    const Config before = load_config_text(text, "c.yaml", {}, Purpose::plan).config;
    const Config after = load_config_text(dump_yaml(before), "c.yaml", {}, Purpose::plan).config;
    EXPECT_EQ(flatten(after), flatten(before));
}

TEST(Dump, FlattenNamesEveryLeafOnce) {
    std::map<std::string, std::string> leaves;
    for (auto& [path, text] : flatten(small({"model.gates={0-1: [{position: key}]}"})))
        EXPECT_TRUE(leaves.emplace(path, text).second) << path;
    EXPECT_EQ(leaves.at("model.gates.0-1.0.position"), "key");
    EXPECT_EQ(leaves.at("model.gates.0-1.0.init_std"), "null");
    EXPECT_EQ(leaves.at("optimizer.lr"), "0.001");
    EXPECT_EQ(leaves.at("data.validation"), "[]");
    EXPECT_EQ(leaves.at("run.name"), "small");
    EXPECT_EQ(leaves.at("checkpoint.init_from"), "\"\"");
    EXPECT_NE(flatten(small({"optimizer.lr=0.1"})), flatten(small({"optimizer.lr=0.10000000000000002"})));
    EXPECT_NE(flatten(small({"model.gates=[{}]"})), flatten(small()));
}

TEST(Dump, JsonHasTypes) {
    const auto j = nlohmann::json::parse(dump_json(small({"run.name=\"12\"", "model.gates=[{}]"})));
    EXPECT_EQ(j["model"]["layers"], 4);
    EXPECT_EQ(j["run"]["name"], "12");
    EXPECT_EQ(j["model"]["qk_norm"], true);
    EXPECT_EQ(j["device"], "auto");
    EXPECT_EQ(j["optimizer"]["lr"].get<double>(), 1e-3);
    EXPECT_EQ(j["model"]["gates"][0]["position"], "sdpa");
    EXPECT_TRUE(j["data"]["delimiter"].is_null());
    EXPECT_EQ(j["data"]["validation"], nlohmann::json::array());
    const auto o =
        nlohmann::json::parse(dump_json_with_origins(load_config_text(kSmall, "c.yaml", {}, Purpose::train)));
    EXPECT_EQ(o["model"]["layers"], 4);
    EXPECT_EQ(o["origins"]["model.layers"], "c.yaml:2:17");
}

TEST(Dump, ReferenceHasEveryKey) {
    const std::string text = reference();
    const auto json = nlohmann::json::parse(reference_json());
    for (auto& [path, value] : flatten(small())) {
        const std::string key = path.starts_with("data.train.0") ? "data.train.N" + path.substr(12) : path;
        EXPECT_TRUE(contains(text, "\n| " + key + " ")) << key;
        EXPECT_TRUE(json.contains(key)) << key;
    }
    EXPECT_TRUE(json.contains("model.gates.N.init_std"));
    EXPECT_EQ(json["model.rope.theta"]["default"], "10000");
    EXPECT_EQ(json["device"]["range"], "auto, cpu, cuda");
    EXPECT_EQ(json["model.layers"]["range"], "1 to 10000");
    EXPECT_EQ(json["optimizer.beta1"]["range"], "0 or more, below 1");
    EXPECT_EQ(json["model.layers"]["default"], "-");
}

TEST(Dump, DocsHoldTheReferenceAsPrinted) {
    std::ifstream file(SLUICE_SOURCE_DIR "/docs/config.md");
    std::ostringstream page;
    page << file.rdbuf();
    EXPECT_EQ(page.str(), reference()) << "write it anew: build/sluice config --reference > docs/config.md";
}

}  // namespace
}  // namespace sluice
