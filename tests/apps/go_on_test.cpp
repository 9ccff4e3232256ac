// What a run takes over from its checkpoint beside the state: how many samples it consumed, and how its steps went.
#include <fstream>

#include "apps/program.h"

namespace sluice {
namespace {

class GoesOn : public Program {
 protected:
    Json manifest(int64_t step) {
        char path[80];
        std::snprintf(path, sizeof path, "runs/a/checkpoints/step-%08lld/manifest.json", (long long)step);
        return parse_json(text(path));
    }
    // Of metrics.jsonl, of those that have a key.
    Json last_row(const std::string& key) {
        Json last;
        std::istringstream lines(text("runs/a/metrics.jsonl"));
        for (std::string line; std::getline(lines, line);)
            if (Json row = parse_json(line); row.contains(key)) last = row;
        return last;
    }
};

// After 4 steps of 4 samples, steps of 6: 16 is no multiple of 6.
TEST_F(GoesOn, WithAnotherBatchAtTheNextSample) {
    ASSERT_EQ(run("train c.yaml train.steps=4 schedule.warmup_steps=0").code, 0);
    EXPECT_EQ(manifest(4)["data"]["samples"], 16);
    const Ended resumed =
        run("train c.yaml train.steps=6 schedule.warmup_steps=0 train.batch=6 checkpoint.allow_change=true");
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(manifest(6)["data"]["samples"], 16 + 2 * 6);
    EXPECT_EQ(manifest(6)["tokens"], (16 + 2 * 6) * 16);
    EXPECT_EQ(last_row("tokens")["tokens"], (16 + 2 * 6) * 16);
}

// Ten in a row end a run at the same step, whether or not it was started again within them.
TEST_F(GoesOn, CountingTheStepsThatWereSkippedInARow) {
    const std::string command =
        "train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40 "
        "checkpoint.async=false";
    const Ended whole = run(command);
    ASSERT_EQ(whole.code, 6) << whole.err;
    const size_t at = whole.err.find("error: ");
    ASSERT_NE(at, std::string::npos);
    const Ended resumed = run(command);
    EXPECT_EQ(resumed.code, 6);
    EXPECT_NE(resumed.err.find(whole.err.substr(at)), std::string::npos) << whole.err << resumed.err;
}

TEST_F(GoesOn, CountingTheStepsThatWereSkippedInAll) {
    const std::string command =
        "train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40 "
        "checkpoint.async=false";
    ASSERT_EQ(run(command).code, 6);
    Json newest = manifest(8);
    newest["optimizer"]["skipped"] = 27;
    newest["optimizer"]["skipped_in_a_row"] = 7;
    std::ofstream(folder_ / "runs/a/checkpoints/step-00000008/manifest.json") << newest.dump();
    const Ended resumed = run(command);
    EXPECT_EQ(resumed.code, 6);
    EXPECT_NE(resumed.err.find("(10 in a row, 30 in all)"), std::string::npos) << resumed.err;
    EXPECT_EQ(last_row("skipped")["skipped"], 30);
}

// Skipped steps are counted on: in all, in a row, and Adam's t.
TEST_F(GoesOn, WithItsCountsOfSteps) {
    ASSERT_EQ(run("train c.yaml train.steps=4 schedule.warmup_steps=0").code, 0);
    Json before = manifest(4);
    before["optimizer"] = {{"updates", 2}, {"skipped", 2}, {"skipped_in_a_row", 1}};
    std::ofstream(folder_ / "runs/a/checkpoints/step-00000004/manifest.json") << before.dump();
    ASSERT_EQ(run("train c.yaml train.steps=6 schedule.warmup_steps=0 checkpoint.allow_change=true").code, 0);
    EXPECT_EQ(manifest(6)["optimizer"]["updates"], 4);
    EXPECT_EQ(manifest(6)["optimizer"]["skipped"], 2);
    EXPECT_EQ(manifest(6)["optimizer"]["skipped_in_a_row"], 0);
}

// Muon's momentum starts from zero, what AdamW keeps of the others goes on; and back.
TEST_F(GoesOn, WithAnotherOptimizerWhereThatIsAllowed) {
    const std::string command = "train c.yaml schedule.warmup_steps=0 ";
    ASSERT_EQ(run(command + "train.steps=4").code, 0);
    const Ended refused = run(command + "train.steps=6 optimizer.kind=muon");
    EXPECT_EQ(refused.code, 4);
    EXPECT_NE(refused.err.find("optimizer.kind: adamw -> muon"), std::string::npos) << refused.err;
    const Ended muon = run(command + "train.steps=6 optimizer.kind=muon checkpoint.allow_change=true");
    ASSERT_EQ(muon.code, 0) << muon.err;
    EXPECT_NE(muon.err.find("'muon.m/layers.0.attention.query.weight': what is lacking starts from zero"),
              std::string::npos)
        << muon.err;
    const Json tensors = manifest(6)["tensors"];
    EXPECT_TRUE(tensors.contains("muon.m/layers.0.ffn.up.weight"));
    EXPECT_FALSE(tensors.contains("adam.m/layers.0.ffn.up.weight"));
    EXPECT_TRUE(tensors.contains("adam.v/embedding.weight"));
    const Ended again = run(command + "train.steps=8 optimizer.kind=muon checkpoint.allow_change=true");
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.err.find("starts from zero"), std::string::npos) << again.err;
    const Ended back = run(command + "train.steps=9 checkpoint.allow_change=true");
    ASSERT_EQ(back.code, 0) << back.err;
    EXPECT_NE(back.err.find("'adam.m/layers.0.attention.query.weight': what is lacking starts from zero"),
              std::string::npos)
        << back.err;
}

// init_from is for the start: once there is a checkpoint of its own, a run goes on from that.
TEST_F(GoesOn, FromItsOwnCheckpointThoughItBeganWithAnothersWeights) {
    ASSERT_EQ(run("train c.yaml run.name=b").code, 0);
    const std::string command = "train c.yaml checkpoint.init_from=runs/b checkpoint.allow_change=true";
    const Ended first = run(command + " train.steps=8");
    ASSERT_EQ(first.code, 0) << first.err;
    EXPECT_NE(first.out.find("step 1/8 "), std::string::npos) << first.out;
    const Ended second = run(command);
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_EQ(second.out.find("step 8/12 "), std::string::npos) << second.out;
    EXPECT_NE(second.out.find("step 9/12 "), std::string::npos) << second.out;
}

}  // namespace
}  // namespace sluice
