// model.attention: one spec for every layer, or a map of layer ranges to specs; as model.gates.
#include "config/per_layer.h"

#include <filesystem>
#include <fstream>

#include "config/text.h"
#include "support/folder.h"

namespace sluice {
namespace {

const std::string kHybrid = "model.attention={2-3: {kind: rela, rela_gate: true}, 0: {window: 4}}";

TEST(PerLayer, OneSpecIsThatOfEveryLayer) {
    const Config c = small({"model.attention={window: 4, sdpa_norm: rmsnorm}"});
    EXPECT_FALSE(c.model.attention.per_layer);
    for (int64_t layer = 0; layer < 4; layer++) {
        EXPECT_EQ(c.model.attention.at(layer).window, 4);
        EXPECT_EQ(c.model.attention.at(layer).sdpa_norm, SdpaNorm::rmsnorm);
    }
    for (const char* spec : {"{}", "{kind: softmax}"})
        EXPECT_FALSE(small({std::string("model.attention=") + spec}).model.attention.per_layer) << spec;
}

TEST(PerLayer, LayersOfNoRangeHaveTheDefault) {
    const PerLayer<AttentionSpec> attention = small({kHybrid}).model.attention;
    EXPECT_TRUE(attention.per_layer);
    EXPECT_EQ(attention.at(0).window, 4);
    EXPECT_EQ(attention.at(0).kind, AttentionKind::softmax);
    EXPECT_EQ(attention.at(1).window, 0);
    EXPECT_EQ(attention.at(1).kind, AttentionKind::softmax);
    for (int64_t layer : {2, 3}) {
        EXPECT_EQ(attention.at(layer).kind, AttentionKind::rela);
        EXPECT_TRUE(attention.at(layer).rela_gate);
        EXPECT_EQ(attention.at(layer).window, 0);
    }
    ASSERT_EQ(attention.ranges.size(), 2u);
    EXPECT_EQ(attention.ranges[0].first, 0);  // sorted
}

TEST(PerLayer, ARangeThatSaysNothingIsTheDefault) {
    for (const char* map : {"{1: {}, 2-3: {window: 4}}", "{1: , 2-3: {window: 4}}"})
        EXPECT_EQ(small({std::string("model.attention=") + map}).model.attention.at(1).window, 0) << map;
}

TEST(PerLayer, RangesThatCannotBe) {
    expect_refused({"model.attention={0-4: {}}"}, "model.attention.0-4", "0 to 3");
    expect_refused({"model.attention={4: {}}"}, "model.attention.4", "0 to 3");
    expect_refused({"model.attention={0-2: {}, 2-3: {}}"}, "model.attention.2-3", "overlaps 0-2: a layer has one spec");
    expect_refused({"model.attention={1: {}, 1-1: {}}"}, "model.attention.1", "overlaps");
    for (auto key : {"3-1", "-1", "1-", "01", "0-03", "1-2-3", "1 - 2", "99999999999999999999"})
        expect_refused({std::string("model.attention={\"") + key + "\": {}}"}, std::string("model.attention.") + key,
                       "range of layers");
    expect_refused({"model.attention={0: [rela]}"}, "model.attention.0", "a map of keys");
    expect_refused({"model.attention=rela"}, "model.attention", "a map of keys");
    expect_refused({"model.attention=[rela]"}, "model.attention", "a map of keys");
    expect_loads({"model.attention={0-2: {}, 3-3: {}}"});
}

TEST(PerLayer, EachRangeIsReadAsASpec) {
    expect_refused({"model.attention={0-1: {windw: 4}}"}, "model.attention.0-1.windw", "did you mean 'window'?");
    expect_refused({"model.attention={0-1: {window: -1}}"}, "model.attention.0-1.window", "out of range: use 0 to");
    expect_refused({"model.attention={2: {kind: relu}}"}, "model.attention.2.kind", "softmax, rela");
    expect_refused({"model.attention={windw: 4}"}, "model.attention.windw", "did you mean 'window'?");
    EXPECT_EQ(error_of(kSmall, {"model.attention.0-1.windw=4"}),
              "command line: model.attention.0-1.windw=4: unknown key (did you mean 'window'?)");
}

TEST(PerLayer, RangesAndKeysDoNotMix) {
    EXPECT_EQ(
        error_of(kSmall, {"model.attention={0-1: {window: 4}, kind: rela}"}),
        "command line: model.attention={0-1: {window: 4}, kind: rela}: ranges of layers (0-1) and keys of one spec "
        "(kind) cannot be mixed: give one spec for all layers, or only ranges");
    EXPECT_TRUE(
        contains(error_of(kSmall, {"model.attention={windw: 4, 0: {}, 1: {}}"}), "(0) and keys of one spec (windw)"));
    EXPECT_EQ(
        error_of(kSmall, {"model.attention.window=4", "model.attention.0-1.window=4"}),
        "command line: model.attention.0-1.window=4: model.attention: ranges of layers (0-1) and keys of one spec "
        "(window) cannot be mixed: give one spec for all layers, or only ranges");
}

TEST(PerLayer, ErrorsSayWhereTheRangeStands) {
    const std::string head = "model:\n  layers: 4\n  hidden: 32\n  heads: 4\n  vocab: 256\n  ffn: {hidden: 48}\n";
    const std::string rest =
        "data: {train: [{path: a.bin}], sequence_length: 16}\ntrain: {steps: 10, batch: 8}\n"
        "optimizer: {lr: 1e-3}\n";
    const auto error = [&](const std::string& attention) { return error_of(head + attention + rest); };
    EXPECT_EQ(error("  attention:\n    0-1: {window: -4}\n"),
              "c.yaml:8:19: model.attention.0-1.window: -4 is out of range: use 0 to 1099511627776");
    EXPECT_EQ(error("  attention:\n    0-1: {window: 4}\n    2-5: {kind: rela}\n    1: {}\n"),
              "c.yaml:9:10: model.attention.2-5: the model's layers are 0 to 3, counted from 0\n"
              "c.yaml:10:8: model.attention.1: overlaps 0-1: a layer has one spec of attention");
    EXPECT_EQ(error("  attention:\n    0-1: {window: 4}\n    window: 8\n"),
              "c.yaml:9:5: model.attention: ranges of layers (0-1) and keys of one spec (window) cannot be mixed: give "
              "one spec for all layers, or only ranges");
    EXPECT_EQ(error("  attention:\n    1-: {window: 4}\n"),
              "c.yaml:8:5: model.attention.1-: not a range of layers: write 0-11 or 12");
}

TEST(PerLayer, Overrides) {
    const auto attention = [](const Overrides& overrides) { return small(overrides).model.attention; };
    EXPECT_EQ(attention({"model.attention.window=4"}).at(3).window, 4);
    EXPECT_EQ(attention({"model.attention={kind: rela}", "model.attention={window: 4}"}).at(3).kind,
              AttentionKind::rela);  // spec over spec: key by key
    const auto range = attention({"model.attention.0-2.window=4"});
    EXPECT_TRUE(range.per_layer);
    EXPECT_EQ(range.at(2).window, 4);
    EXPECT_EQ(range.at(3).window, 0);
    const auto changed = attention({kHybrid, "model.attention.0.window=2", "model.attention.1={kind: rela}"});
    EXPECT_EQ(changed.at(0).window, 2);
    EXPECT_EQ(changed.at(1).kind, AttentionKind::rela);
    EXPECT_TRUE(changed.at(3).rela_gate);
    const auto replaced = attention({kHybrid, "model.attention={1: {window: 3}}"});
    EXPECT_EQ(replaced.ranges.size(), 1u);
    EXPECT_EQ(replaced.at(0).window, 0);
    const auto one = attention({kHybrid, "model.attention={window: 3}"});
    EXPECT_FALSE(one.per_layer);
    EXPECT_EQ(one.at(2).kind, AttentionKind::softmax);
    EXPECT_EQ(attention({"model.attention={window: 3}", kHybrid}).at(1).window, 0);
    EXPECT_FALSE(attention({kHybrid, "model.attention={}"}).per_layer);
    EXPECT_FALSE(attention({kHybrid, "model.attention=null"}).per_layer);
}

TEST(PerLayer, FilesOverTheirBase) {
    const Folder folder;
    const auto attention = [&](const std::string& base, const std::string& file) {
        std::ofstream(folder / "base.yaml") << kSmall << "";
        std::ofstream(folder / "middle.yaml") << "base: base.yaml\nmodel:\n  attention: " << base << "\n";
        std::ofstream(folder / "top.yaml") << "base: middle.yaml\nmodel:\n  attention: " << file << "\n";
        return load_config((folder / "top.yaml").string(), {}, Purpose::train).config.model.attention;
    };
    const std::string map = "{0-1: {window: 4}, 3: {kind: rela}}";
    const auto merged = attention("{window: 4, kind: rela}", "{window: 2}");
    EXPECT_EQ(merged.at(0).window, 2);
    EXPECT_EQ(merged.at(0).kind, AttentionKind::rela);
    const auto ranges = attention("{window: 4}", map);
    EXPECT_EQ(ranges.at(2).window, 0);
    EXPECT_EQ(ranges.at(3).kind, AttentionKind::rela);
    const auto spec = attention(map, "{sdpa_norm: rmsnorm}");
    EXPECT_FALSE(spec.per_layer);
    EXPECT_EQ(spec.at(0).window, 0);
    const auto others = attention(map, "{0-1: {kind: rela}}");
    EXPECT_EQ(others.ranges.size(), 1u);
    EXPECT_EQ(others.at(0).window, 0);
    EXPECT_EQ(attention(map, "").at(0).window, 4);  // nothing in it changes nothing
    EXPECT_FALSE(attention(map, "{}").per_layer);
}

TEST(PerLayer, ASpecIsDumpedAsASpecAndAMapAsAMap) {
    const std::string one = dump_yaml(small({"model.attention.window=4"}));
    EXPECT_TRUE(contains(one,
                         "  attention:\n    kind: softmax\n    rela_gate: false\n    window: 4\n"
                         "    sdpa_norm: none\n    sdpa_activation: none\n  gates: []\n"))
        << one;
    const Config before = small({kHybrid});
    const std::string map = dump_yaml(before);
    EXPECT_TRUE(
        contains(map, "  attention:\n    \"0\":\n      kind: softmax\n      rela_gate: false\n      window: 4\n"))
        << map;
    EXPECT_TRUE(contains(map, "    \"2-3\":\n      kind: rela\n      rela_gate: true\n")) << map;
    const Config after = load_config_text(map, "c.yaml", {}, Purpose::train).config;
    EXPECT_EQ(dump_yaml(after), map);
    EXPECT_EQ(flatten(after), flatten(before));
    EXPECT_TRUE(after.model.attention.at(3).rela_gate);
}

TEST(PerLayer, OriginsAreThoseOfEachRange) {
    const Loaded loaded = load_config_text(kSmall, "c.yaml", {kHybrid}, Purpose::train);
    EXPECT_EQ(loaded.origins.at("model.attention.2-3.kind"), "command line");
    EXPECT_EQ(loaded.origins.at("model.attention.2-3.window"), "default");
    EXPECT_FALSE(loaded.origins.contains("model.attention.kind"));
    EXPECT_EQ(change_of("model.attention.2-3.window"), Change::model);
}

TEST(PerLayer, AConfigOfBeforeHasNoGateOfRela) {
    const std::string before = kSmall + "";
    std::string text = before;
    text.replace(text.find("vocab: 256"), 10,
                 "vocab: 256, attention: {kind: softmax, window: 4, sdpa_norm: none, sdpa_activation: none}");
    const Config stored = load_config_text(text, "manifest.json", {}, Purpose::stored).config;
    EXPECT_EQ(flatten(stored), flatten(small({"model.attention.window=4"})));
}

}  // namespace
}  // namespace sluice
