// The data of a run, changed before it goes on.
#include "apps/run_folder.h"

namespace sluice {
namespace {

const std::string kOnShards = "train c.yaml 'data.train=[{path: shards}]' ";

// A finished run, cut back to its step 4.
class DataOfARun : public RunFolder {
 protected:
    void SetUp() override {
        RunFolder::SetUp();
        for (int i = 0; i < 3; i++) shard("shards/s" + std::to_string(i) + ".bin", 8 + i, i);
        ASSERT_EQ(run(kOnShards).code, 0);
        whole_ = course("a");
        digest_ = digest("a", 12);
        cut_back();
    }
    void cut_back() {
        fs::remove_all(step(8));
        fs::remove_all(step(12));
    }
    void refuses(const std::string& what, int ranks = 1) {
        const std::string metrics = text("runs/a/metrics.jsonl"), log = text("runs/a/log.txt");
        const Ended refused = run(kOnShards, ranks);
        EXPECT_EQ(refused.code, 4) << what << refused.err;
        EXPECT_TRUE(has(refused.err, what)) << refused.err;
        EXPECT_EQ(refused.err.find("error: ", refused.err.find("error: ") + 1), std::string::npos) << refused.err;
        EXPECT_EQ(text("runs/a/metrics.jsonl"), metrics);
        EXPECT_EQ(text("runs/a/log.txt"), log);
    }
    std::vector<std::string> whole_;
    std::string digest_;
};

TEST_F(DataOfARun, OthersAreRefusedInWords) {
    shard("shards/s3.bin", 5, 3);
    refuses("data.train.0 (shards): was added: s3.bin (81 tokens)");
    refuses("data.train.0 (shards): was added: s3.bin (81 tokens)", 2);
    fs::remove(folder_ / "shards/s3.bin");
    fs::rename(folder_ / "shards/s1.bin", folder_ / "kept");
    refuses("data.train.0 (shards): is no longer there: s1.bin (145 tokens)");
    shard("shards/s1.bin", 9, 50);
    refuses("holds other tokens: s1.bin (145 tokens)");
    shard("shards/s1.bin", 7, 1);
    refuses("holds other tokens: s1.bin (145 -> 113 tokens)");
    const Ended allowed = run(kOnShards + "checkpoint.allow_change=true");
    EXPECT_EQ(allowed.code, 0) << allowed.err;
    EXPECT_TRUE(has(allowed.err, "changed on resume: data.train.0 (shards): holds other tokens: s1.bin"))
        << allowed.err;
    EXPECT_EQ(course("a").size(), 12u);
    cut_back();
    EXPECT_EQ(run(kOnShards).code, 4) << "step 4 is of the data of before";
}

TEST_F(DataOfARun, TheSameElsewhereGoOn) {
    fs::rename(folder_ / "shards", folder_ / "moved");
    const Ended resumed = run("train c.yaml 'data.train=[{path: \"moved/*.bin\"}]'", 2);
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_TRUE(has(resumed.err, "data.train.0.path: shards -> \"moved/*.bin\": the same tokens")) << resumed.err;
    cut_back();
    const Ended alone = run("train c.yaml 'data.train=[{path: moved}]'");
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_EQ(course("a"), whole_);
    EXPECT_EQ(digest("a", 12), digest_);
}

TEST_F(DataOfARun, SourcesThatChangePlacesAreAnotherCourse) {
    const std::string two = "train c.yaml run.name=b 'data.train=[{path: shards/s0.bin}, {path: shards/s2.bin}]'";
    ASSERT_EQ(run(two + " train.steps=4").code, 0);
    const Ended swapped =
        run("train c.yaml run.name=b train.steps=4 'data.train=[{path: shards/s2.bin}, {path: shards/s0.bin}]'");
    EXPECT_EQ(swapped.code, 4);
    EXPECT_TRUE(has(swapped.err, "data.train.0 (shards/s2.bin): ")) << swapped.err;
}

TEST_F(DataOfARun, AnotherValidationSetIsAWarning) {
    const std::string command =
        "train c.yaml run.name=v train.steps=8 'data.validation=[{name: held, path: held.bin}]'";
    shard("held.bin", 4, 9);
    ASSERT_EQ(run(command).code, 0);
    fs::remove_all(step(8, "v"));
    shard("held.bin", 4, 10);
    const Ended resumed = run(command);
    EXPECT_EQ(resumed.code, 0);
    EXPECT_TRUE(has(resumed.err, "losses on held.bin do not compare with earlier ones: holds other tokens: held.bin"))
        << resumed.err;
}

TEST_F(DataOfARun, ACheckpointThatDoesNotTellGoesOn) {
    const fs::path manifest = step(4) / "manifest.json";
    Json json = parse_json(text("runs/a/checkpoints/step-00000004/manifest.json"));
    ASSERT_TRUE(json["data"].contains("train"));
    json["data"] = {{"samples", json["data"]["samples"]}};
    std::ofstream(manifest) << json.dump();
    const Ended elsewhere = run("train c.yaml 'data.train=[{path: train.bin}]'");
    EXPECT_EQ(elsewhere.code, 4) << "only the path can tell";
    const Ended resumed = run(kOnShards);
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_TRUE(has(resumed.err, "does not tell which tokens were read")) << resumed.err;
    EXPECT_EQ(course("a"), whole_);
}

}  // namespace
}  // namespace sluice
