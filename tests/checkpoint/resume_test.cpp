// Which settings a resume may change: each key by what it would do to the course.
#include "checkpoint/resume.h"

#include <gtest/gtest.h>

#include "config/load.h"

namespace sluice {
namespace {

Config config(const std::vector<std::string>& more = {}) {
    std::vector<std::string> keys{
        "model.layers=1",         "model.hidden=8",         "model.heads=2", "model.vocab=11", "model.ffn.hidden=12",
        "data.sequence_length=4", "data.train=[{path: a}]", "train.batch=2", "train.steps=50", "optimizer.lr=0.01"};
    keys.insert(keys.end(), more.begin(), more.end());
    return load_config_text("", "test", keys, Purpose::plan).config;
}
ConfigChanges changed(const std::string& key) { return compare_configs(config(), config({key})); }

TEST(CompareConfigs, WhatChangesTheCourse) {
    for (const char* key :
         {"optimizer.lr=0.02", "optimizer.beta2=0.99", "optimizer.weight_decay=0", "schedule.kind=wsd",
          "schedule.warmup_steps=3", "data.train=[{path: a, weight: 2}]", "data.sequence_length=8",
          "data.document_mask=true", "train.steps=60", "train.batch=4", "run.seed=2"}) {
        const ConfigChanges c = changed(key);
        ASSERT_EQ(c.course.size(), 1u) << key;
        EXPECT_TRUE(c.model.empty() && c.rounding.empty()) << key;
    }
    EXPECT_EQ(changed("train.batch=4").course[0], "train.batch: 2 -> 4");
}

TEST(CompareConfigs, WhatMakesAnotherModel) {
    for (const char* key : {"model.layers=2", "model.norm_eps=1e-5", "model.rope.theta=500", "model.ffn.hidden=16"}) {
        const ConfigChanges c = changed(key);
        EXPECT_EQ(c.model.size(), 1u) << key;
        EXPECT_TRUE(c.course.empty() && c.rounding.empty()) << key;
    }
    const ConfigChanges gates = changed("model.gates=[{position: sdpa}]");
    ASSERT_FALSE(gates.model.empty());
    EXPECT_EQ(gates.model[0], "model.gates: [] -> (absent)");
}

TEST(CompareConfigs, AttentionOfEachLayer) {
    EXPECT_EQ(changed("model.attention.window=2").model[0], "model.attention.window: 0 -> 2");
    const std::string before = "model.attention={0: {kind: rela}, 1-2: {window: 4}}", layers = "model.layers=3";
    const auto differ = [&](const std::string& now) {
        return compare_configs(config({layers, before}), config({layers, now})).model;
    };
    EXPECT_TRUE(differ(before).empty());
    EXPECT_EQ(differ("model.attention={0: {kind: rela}, 1-2: {window: 5}}"),
              std::vector<std::string>{"model.attention.1-2.window: 4 -> 5"});
    EXPECT_EQ(differ("model.attention={0: {kind: rela}, 1: {window: 4}}"),
              std::vector<std::string>{"model.attention.2.window: 4 -> 0"});
}

// One value, ranges, or layer by layer; and no range is the default.
TEST(CompareConfigs, TheSameValuesInOtherRangesAreNoChange) {
    const auto differ = [](const std::string& before, const std::string& now) {
        return compare_configs(config({"model.layers=3", before}), config({"model.layers=3", now})).model;
    };
    const std::string none = "model.layers=3";
    EXPECT_TRUE(differ(none, "model.attention={0-1: {}}").empty());
    EXPECT_TRUE(differ("model.attention={0: {window: 4}, 1-2: {window: 4}}", "model.attention.window=4").empty());
    EXPECT_TRUE(differ("model.gates={0: []}", none).empty());
    EXPECT_TRUE(differ("model.gates={0-2: [{position: sdpa}]}", "model.gates=[{position: sdpa}]").empty());
    EXPECT_EQ(differ("model.gates={0-2: [{position: sdpa}]}", "model.gates={0-1: [{position: sdpa}]}")[0],
              "model.gates.2: (absent) -> []");
}

TEST(CompareConfigs, WhatOnlyRoundsOtherwise) {
    const ConfigChanges c = changed("train.precision=bf16");
    EXPECT_EQ(c.rounding, std::vector<std::string>{"train.precision: fp32 -> bf16"});
    EXPECT_TRUE(c.model.empty() && c.course.empty());
}

TEST(CompareConfigs, WhatIsHarmless) {
    for (const char* key : {"data.validation=[{name: v, path: w}]", "data.tokenizer=bytes", "train.micro_batch=1",
                            "train.recompute=block", "eval.every=7", "log.every=3", "checkpoint.every=9",
                            "run.dir=elsewhere", "parallel.zero=1", "sample.every=4"}) {
        const ConfigChanges c = changed(key);
        EXPECT_TRUE(c.model.empty() && c.course.empty() && c.rounding.empty()) << key;
    }
}

}  // namespace
}  // namespace sluice
