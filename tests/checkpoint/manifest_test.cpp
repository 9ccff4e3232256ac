// A manifest keeps everything that a run needs to go on.
#include "checkpoint/manifest.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace sluice {
namespace {

// Every number its own, so that none can stand in for another.
TEST(Manifest, KeepsWhatARunNeedsToGoOn) {
    Manifest m;
    m.info.step = 1, m.info.tokens = 2, m.info.samples = 3, m.info.updates = 4, m.info.skipped = 5;
    m.info.skipped_in_a_row = 6, m.info.seed = 7, m.info.config_yaml = "run: {}\n", m.info.digest = "0123";
    m.info.mesh = {{"data", 8}, {"tensor", 9}};
    m.info.passed_over = 1, m.info.spikes = 11, m.info.rewinds = 12, m.info.furthest = 13;
    m.info.spike_history = {{0.1, 1e-300, 3}, {1.0 / 3, 5e-324, 1e300}, 14};
    m.info.autotune = {{"machine", {"a line", "another"}, {0, 2}}, {"left", {"a line"}, {}}};
    m.files["f"] = {10, "4567"};
    m.tensors["t"] = {"F32", {4, 3}, {{"f", {{0, 0}, {1, 3}}}, {"f", {{1, 0}, {3, 3}}}}};
    const Manifest read = parse_manifest(manifest_text(m));
    const CheckpointInfo &a = m.info, &b = read.info;
    EXPECT_EQ(b.step, a.step);
    EXPECT_EQ(b.tokens, a.tokens);
    EXPECT_EQ(b.samples, a.samples);
    EXPECT_EQ(b.updates, a.updates);
    EXPECT_EQ(b.skipped, a.skipped);
    EXPECT_EQ(b.skipped_in_a_row, a.skipped_in_a_row);
    EXPECT_EQ(b.passed_over, a.passed_over);
    EXPECT_EQ(b.spikes, a.spikes);
    EXPECT_EQ(b.rewinds, a.rewinds);
    EXPECT_EQ(b.furthest, a.furthest);
    EXPECT_EQ(b.spike_history, a.spike_history) << "to the last bit";
    EXPECT_EQ(b.seed, a.seed);
    EXPECT_EQ(b.config_yaml, a.config_yaml);
    EXPECT_EQ(b.digest, a.digest);
    EXPECT_EQ(b.mesh, a.mesh);
    ASSERT_EQ(b.autotune.size(), a.autotune.size());
    for (size_t i = 0; i < a.autotune.size(); i++) {
        EXPECT_EQ(b.autotune[i].machine, a.autotune[i].machine);
        EXPECT_EQ(b.autotune[i].lines, a.autotune[i].lines);
        EXPECT_EQ(b.autotune[i].ranks, a.autotune[i].ranks);
    }
    EXPECT_EQ(read.files.at("f").size, 10);
    EXPECT_EQ(read.files.at("f").hash, "4567");
    EXPECT_EQ(manifest_text(read), manifest_text(m));
}

TEST(Manifest, OfARunWithoutAGuardIsAsItWas) {
    Manifest m;
    m.info.spikes = 3, m.info.rewinds = 4;  // none without what the guard remembers
    m.files["f"] = {1, "0"};
    m.tensors["t"] = {"F32", {1}, {{"f", {{0}, {1}}}}};
    const std::string text = manifest_text(m);
    EXPECT_EQ(text.find("spikes"), std::string::npos);
    EXPECT_EQ(text.find("passed_over"), std::string::npos);
    const Manifest read = parse_manifest(text);
    EXPECT_FALSE(read.info.spike_history);
    EXPECT_EQ(read.info.passed_over, 0);
    EXPECT_EQ(read.info.spikes, 0);
}

TEST(Manifest, SpikesThatCannotBeAreRefused) {
    Manifest m;
    m.info.samples = 8, m.info.passed_over = 8;
    m.info.spike_history = {{1, 2}, {3, 4}, 0};
    m.files["f"] = {1, "0"};
    m.tensors["t"] = {"F32", {1}, {{"f", {{0}, {1}}}}};
    const Json good = parse_json(manifest_text(m));
    EXPECT_NO_THROW(parse_manifest(good.dump()));
    for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"refused", -1},
                                                                              {"in_a_row", 0.5},
                                                                              {"rewinds", "x"},
                                                                              {"furthest", nullptr},
                                                                              {"losses", {1}},
                                                                              {"losses", 3},
                                                                              {"grad_norms", {1, "x"}},
                                                                              {"grad_norms", {1, nullptr}}}) {
        Json bad = good;
        bad["spikes"][key] = value;
        EXPECT_THROW(parse_manifest(bad.dump()), JsonError) << key << " " << value;
        bad["spikes"].erase(key);
        EXPECT_THROW(parse_manifest(bad.dump()), JsonError) << key;
    }
    Json beyond = good;
    beyond["data"]["passed_over"] = 9;
    EXPECT_THROW(parse_manifest(beyond.dump()), JsonError);
}

TEST(Manifest, FilesHavePlainNames) {
    const auto with_file = [](const std::string& name) {
        Manifest m;
        m.files[name] = {1, "0"};
        m.tensors["t"] = {"F32", {1}, {{name, {{0}, {1}}}}};
        return manifest_text(m);
    };
    for (const std::string& name : {std::string("rank-00000.safetensors"), std::string(255, 'x'), std::string("a..b")})
        EXPECT_NO_THROW(parse_manifest(with_file(name))) << name;
    for (const std::string& name : {std::string("."), std::string(".."), std::string(".hidden"), std::string("a/b"),
                                    std::string("/a"), std::string("a\\b"), std::string(), std::string(256, 'x')})
        EXPECT_THROW(parse_manifest(with_file(name)), JsonError) << name;
}

TEST(Manifest, PiecesAreInFilesThatItLists) {
    Manifest m;
    m.files["f"] = {1, "0"};
    m.tensors["t"] = {"F32", {2}, {{"f", {{0}, {1}}}, {"g", {{1}, {1}}}}};
    EXPECT_THROW(parse_manifest(manifest_text(m)), JsonError);
    m.files["g"] = {1, "0"};
    EXPECT_NO_THROW(parse_manifest(manifest_text(m)));
}

TEST(Manifest, PiecesCoverATensorOnceAndNoMore) {
    const auto with_pieces = [](const std::vector<Box>& boxes) {
        Manifest m;
        m.files["f"] = {1, "0"};
        m.tensors["t"] = {"F32", {4, 6}, {}};
        for (const Box& box : boxes) m.tensors["t"].pieces.push_back({"f", box});
        return manifest_text(m);
    };
    EXPECT_NO_THROW(parse_manifest(with_pieces({{{0, 0}, {4, 6}}})));
    EXPECT_NO_THROW(parse_manifest(with_pieces({{{0, 0}, {4, 2}}, {{0, 2}, {1, 4}}, {{1, 2}, {3, 4}}})));
    for (const std::vector<Box>& boxes : {std::vector<Box>{{{0, 0}, {4, 5}}},    // a column less
                                          {{{0, 0}, {4, 7}}},                    // one more
                                          {{{0, 1}, {4, 6}}},                    // beyond the end
                                          {{{0, 0}, {2, 6}}, {{1, 0}, {2, 6}}},  // a row twice
                                          {{{0, 0}, {4, 3}}, {{0, 2}, {4, 3}}},  // a column twice
                                          {{{0, 0}, {24}}},                      // of another rank
                                          {{{0, 0}, {4, 6}}, {{0, 0}, {4, 6}}},
                                          {}})
        EXPECT_THROW(parse_manifest(with_pieces(boxes)), JsonError);
}

}  // namespace
}  // namespace sluice
