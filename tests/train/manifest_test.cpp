// A manifest keeps everything that a run needs to go on.
#include "train/manifest.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// Every number its own, so that none can stand in for another.
TEST(Manifest, KeepsWhatARunNeedsToGoOn) {
    Manifest m;
    m.info.step = 1, m.info.tokens = 2, m.info.samples = 3, m.info.updates = 4, m.info.skipped = 5;
    m.info.skipped_in_a_row = 6, m.info.seed = 7, m.info.config_yaml = "run: {}\n", m.info.digest = "0123";
    m.info.mesh = {{"data", 8}, {"tensor", 9}};
    m.info.gemm = {{"machine", {"a line", "another"}, {0, 2}}, {"left", {"a line"}, {}}};
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
    EXPECT_EQ(b.seed, a.seed);
    EXPECT_EQ(b.config_yaml, a.config_yaml);
    EXPECT_EQ(b.digest, a.digest);
    EXPECT_EQ(b.mesh, a.mesh);
    ASSERT_EQ(b.gemm.size(), a.gemm.size());
    for (size_t i = 0; i < a.gemm.size(); i++) {
        EXPECT_EQ(b.gemm[i].machine, a.gemm[i].machine);
        EXPECT_EQ(b.gemm[i].lines, a.gemm[i].lines);
        EXPECT_EQ(b.gemm[i].ranks, a.gemm[i].ranks);
    }
    EXPECT_EQ(read.files.at("f").size, 10);
    EXPECT_EQ(read.files.at("f").hash, "4567");
    EXPECT_EQ(manifest_text(read), manifest_text(m));
}

}  // namespace
}  // namespace sluice
