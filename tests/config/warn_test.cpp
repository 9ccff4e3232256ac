// What a config may say but hardly means.
#include <fstream>

#include "config/text.h"
#include "support/folder.h"

namespace sluice {
namespace {

std::vector<std::string> warnings(const Overrides& overrides, Purpose purpose = Purpose::train) {
    return load_config_text(kSmall, "c.yaml", overrides, purpose).warnings;
}
// One warning of that path, with all of the words.
void expect_warned(const Overrides& overrides, const std::string& path, const std::vector<std::string>& words) {
    const auto all = warnings(overrides);
    ASSERT_EQ(all.size(), 1u) << overrides.back();
    EXPECT_TRUE(contains(all[0], path)) << all[0];
    for (const auto& word : words) EXPECT_TRUE(contains(all[0], word)) << word << " is not in " << all[0];
}
void expect_quiet(const Overrides& overrides) {
    for (const auto& warning : warnings(overrides)) ADD_FAILURE() << overrides.back() << ": " << warning;
}

TEST(Warn, SchedulesThatTheRunCutsShort) {  // a run of 10 steps
    for (const char* kind : {"cosine", "linear", "wsd", "constant"}) {
        const std::string head = std::string("schedule={kind: ") + kind + ", warmup_steps: ";
        expect_warned({head + "40}"}, "schedule.warmup_steps", {"40 steps", "run of 10", "0.00025", "(0.001)"});
        expect_warned({head + "11}"}, "schedule.warmup_steps", {"11", "10"});
        expect_quiet({head + "9}"});
    }
    for (const char* kind : {"cosine", "linear", "wsd"})
        expect_warned({std::string("schedule={kind: ") + kind + ", warmup_steps: 10}"}, "schedule.warmup_steps",
                      {"10", kind});
    expect_quiet({"schedule={kind: constant, warmup_steps: 10}"});
    expect_warned({"schedule={kind: wsd, warmup_steps: 6, decay_steps: 5}"}, "schedule.decay_steps",
                  {"6 steps of warm-up", "5 of decay", "overlap", "10 steps"});
    expect_quiet({"schedule={kind: wsd, warmup_steps: 5, decay_steps: 5}"});
    expect_warned({"schedule={kind: wsd, decay_steps: 11}"}, "schedule.decay_steps", {"11", "10"});
    expect_quiet({"schedule={kind: wsd, decay_steps: 10}"});
    expect_quiet({"train.steps=0", "schedule.warmup_steps=40"});  // the initial weights
    EXPECT_TRUE(warnings({"train.steps=null", "schedule.warmup_steps=40"}, Purpose::plan).empty());
    EXPECT_EQ(warnings({"train.steps=null", "train.tokens=1280", "schedule.warmup_steps=40"}).size(), 1u);
}

TEST(Warn, MomentumOfAnotherOptimizer) {
    expect_warned({"optimizer.momentum=0.9"}, "optimizer.momentum", {"0.9", "adamw", "muon"});
    expect_quiet({"optimizer.momentum=0.95"});
    expect_quiet({"optimizer.momentum=0.9", "optimizer.kind=muon"});
}

TEST(Warn, KeysThatDoNothing) {
    for (const char* kind : {"cosine", "linear", "constant"})
        expect_warned({std::string("schedule={decay_steps: 3, kind: ") + kind + "}"}, "schedule.decay_steps",
                      {"3 does nothing", kind});
    expect_warned({"schedule={kind: constant, final_lr: 1e-4}"}, "schedule.final_lr", {"nothing", "constant"});
    expect_warned({"schedule={kind: wsd, final_lr: 1e-4}"}, "schedule.final_lr", {"nothing", "decay_steps"});
    for (const char* fine : {"schedule={kind: wsd, final_lr: 1e-4, decay_steps: 3}", "schedule={final_lr: 1e-4}",
                             "schedule={kind: linear, final_lr: 1e-4}", "schedule={decay_steps: 0}",
                             "schedule={kind: constant, final_lr: 0}"})
        expect_quiet({fine});
    expect_warned({"model.moe.top_k=2"}, "model.moe.top_k", {"model.moe.experts"});
    expect_warned({"model.rope.factor=4"}, "model.rope.factor", {"model.rope.scaling"});
    expect_warned({"model.switch_heads.experts=4"}, "model.switch_heads.experts", {"target"});
    expect_warned({"sample.prompt=x"}, "sample.prompt", {"sample.every"});
    for (const char* key : {"window=64", "threshold=5", "most=2"}) {
        const std::string forgotten = std::string("spikes.") + key;
        expect_warned({forgotten}, forgotten.substr(0, forgotten.find('=')), {"does nothing without spikes.action"});
        expect_quiet({forgotten, "spikes.action=skip"});
    }
    expect_warned({"spikes.action=rewind", "checkpoint.every=0"}, "spikes.action", {"checkpoint.every", "skips"});
    expect_quiet({"spikes.action=skip", "checkpoint.every=0"});
    expect_quiet({"model.moe={experts: 0, top_k: 2}"});  // switched off on purpose
    expect_quiet({"sample={every: 0, prompt: x}"});
    expect_quiet({"model.moe.top_k=0"});
}

TEST(Warn, PartsOfAttentionThatDoNothing) {  // in sequences of 16 tokens
    expect_warned({"model.attention.rela_gate=true"}, "model.attention.rela_gate", {"nothing", "softmax", "rela"});
    expect_warned({"model.attention={0-1: {kind: rela, rela_gate: true}, 3: {rela_gate: true}}"},
                  "model.attention.3.rela_gate", {"softmax"});
    expect_quiet({"model.attention={kind: rela, rela_gate: true}"});
    expect_warned({"model.attention.window=16"}, "model.attention.window=16: 16 does", {"nothing", "16 tokens"});
    expect_warned({"model.attention={0: {window: 15}, 2-3: {window: 17}}"}, "model.attention.2-3.window", {"17"});
    expect_quiet({"model.attention.window=15"});
}

TEST(Warn, WhatTheStepsLeaveNoRoomFor) {
    expect_warned({"eval.every=5"}, "eval.every", {"5", "data.validation"});
    expect_quiet({"eval.every=5", "data.validation=[{name: v, path: v.bin}]"});
    expect_warned({"train.steps=2000", "checkpoint.every=2001"}, "checkpoint.every", {"2001", "2000"});
    expect_quiet({"train.steps=2000", "checkpoint.every=2000"});
    expect_quiet({"train.steps=50", "checkpoint.every=300"});  // a trial run
    expect_quiet({"train.steps=50"});
}

TEST(Warn, PlacesAndPurposes) {
    const std::string text = kSmall + "schedule:\n  warmup_steps: 40\n  decay_steps: 3\n";
    const Loaded loaded = load_config_text(text, "c.yaml", {}, Purpose::train);
    ASSERT_EQ(loaded.warnings.size(), 2u);
    EXPECT_TRUE(loaded.warnings[0].starts_with("c.yaml:8:16: schedule.decay_steps: 3 does")) << loaded.warnings[0];
    EXPECT_TRUE(loaded.warnings[1].starts_with("c.yaml:7:17: schedule.warmup_steps: 40 ")) << loaded.warnings[1];
    EXPECT_EQ(warnings({"schedule.decay_steps=3"})[0].find("command line: schedule.decay_steps=3: 3 does"), 0u);
    EXPECT_EQ(load_config_text(text, "c.yaml", {}, Purpose::plan).warnings.size(), 2u);
    EXPECT_TRUE(load_config_text(text, "c.yaml", {}, Purpose::stored).warnings.empty());
    // Once resolved, what was warned of is warned of again, and no more.
    EXPECT_EQ(load_config_text(dump_yaml(loaded.config), "c.yaml", {}, Purpose::train).warnings.size(), 2u);
    EXPECT_TRUE(load_config_text(dump_yaml(small()), "c.yaml", {}, Purpose::train).warnings.empty());
    EXPECT_TRUE(contains(dump_json_with_origins(loaded), "\"warnings\":[\"c.yaml:8:16"));
}

TEST(Warn, ARateThatRisesAtTheEndIsRefused) {
    for (const char* kind : {"cosine", "linear", "wsd, decay_steps: 3"}) {
        const std::string override = std::string("schedule={final_lr: 0.002, kind: ") + kind + "}";
        expect_refused({override}, "schedule.final_lr", "0.002 is above optimizer.lr (0.001)");
        expect_refused({override}, "schedule.final_lr", "above", Purpose::plan);
        EXPECT_EQ(error_of(kSmall, {override}, Purpose::stored), "");  // of a checkpoint of before
        EXPECT_EQ(error_of(kSmall, {override, "optimizer.lr=0.002"}), "");
    }
    expect_loads({"schedule={final_lr: 0.002, kind: constant}"});  // does nothing
    expect_loads({"schedule={final_lr: 0.002, kind: wsd}"});
    std::string no_lr = kSmall;
    no_lr.replace(no_lr.find("lr: 1e-3"), 8, "");
    EXPECT_EQ(error_of(no_lr, {"schedule.final_lr=0.002"}, Purpose::plan), "");
}

TEST(Load, MoreFilesLieOverTheFirst) {
    const Folder folder;
    std::ofstream(folder / "a.yaml") << kSmall;
    std::ofstream(folder / "below.yaml") << "model: {layers: 7, heads: 8}\n";
    std::ofstream(folder / "b.yaml") << "base: below.yaml\nmodel: {layers: 2}\noptimizer: {lr: 0.5}\n";
    std::ofstream(folder / "c.yml") << "optimizer: {lr: 0.25}\n";
    const auto load = [&](const Overrides& arguments) {
        return load_config((folder / "a.yaml").string(), arguments, Purpose::train);
    };
    const std::string b = (folder / "b.yaml").string(), c = (folder / "c.yml").string();
    Loaded loaded = load({b, c, "train.batch=16"});
    EXPECT_EQ(loaded.config.model.layers, 2);
    EXPECT_EQ(loaded.config.model.heads, 8);  // of the later file's base
    EXPECT_EQ(loaded.config.model.hidden, 32);
    EXPECT_EQ(loaded.config.optimizer.lr, 0.25);
    EXPECT_EQ(loaded.config.train.batch, 16);
    EXPECT_EQ(loaded.config.run.name, "small");
    EXPECT_EQ(loaded.origins.at("optimizer.lr"), c + ":1:17");
    EXPECT_EQ(load({c, b}).config.optimizer.lr, 0.5);
    EXPECT_EQ(load({"optimizer.lr=0.125", c}).config.optimizer.lr, 0.125);  // key=value always last
    std::ofstream(folder / "d.yaml") << "optimizer: {lr: 1}\nmodel:\n  layers: none\n  hiden: 3\n";
    const std::string d = (folder / "d.yaml").string();
    try {
        load({b, d});
        FAIL();
    } catch (const Failure& f) {
        EXPECT_TRUE(contains(f.what(), d + ":3:11: model.layers: 'none'")) << f.what();
        EXPECT_TRUE(contains(f.what(), d + ":4:3: model.hiden: unknown key")) << f.what();
    }
    for (const auto& [argument, why] : {std::pair{"nowhere.yaml", "no such file"}, {"nowhere", "key=value"}}) try {
            load({argument});
            FAIL() << argument;
        } catch (const Failure& f) { EXPECT_TRUE(contains(f.what(), why)) << f.what(); }
}

}  // namespace
}  // namespace sluice
