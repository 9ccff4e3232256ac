// Going back to an older step of a run.
#include "apps/run_folder.h"

namespace sluice {
namespace {

class Branches : public RunFolder {
 protected:
    void SetUp() override {
        RunFolder::SetUp();
        ASSERT_EQ(run("train c.yaml train.steps=20").code, 0);
        first_ = course("a");
        digest_ = digest("a", 20);
    }
    const std::string back_ =
                          "train c.yaml train.steps=20 checkpoint.resume=runs/a/checkpoints/step-00000008 "
                          "optimizer.lr=0.02 checkpoint.allow_change=true ",
                      auto_ = "train c.yaml train.steps=20 optimizer.lr=0.02 ";
    const std::string aside_ = "runs/a/checkpoints_set_aside_1", second_aside_ = "runs/a/checkpoints_set_aside_2";
    std::vector<std::string> first_;
    std::string digest_;
};

TEST_F(Branches, LaterStepsAreSetAsideAndAutoFollows) {
    const Ended back = run(back_);
    ASSERT_EQ(back.code, 0) << back.err;
    EXPECT_TRUE(has(back.err, "its later steps are set aside in ")) << back.err;
    EXPECT_TRUE(has(back.err, aside_)) << back.err;
    const std::vector<std::string> left{"metrics.jsonl", "step-00000012", "step-00000016", "step-00000020"};
    EXPECT_EQ(names(folder_ / aside_), left);
    EXPECT_EQ(parse_json(text(aside_ + "/step-00000020/manifest.json"))["digest"], digest_);
    const auto second = course("a");
    ASSERT_EQ(second.size(), 20u);
    EXPECT_TRUE(std::equal(second.begin(), second.begin() + 8, first_.begin()));
    EXPECT_NE(second[8], first_[8]);
    const std::string second_digest = digest("a", 20);

    // The command given again: when it has finished, and when it was stopped at 12.
    const Ended again = run(back_);
    EXPECT_EQ(again.code, 0);
    EXPECT_TRUE(has(again.out, "finished")) << again.out;
    for (const std::string& command : {back_, auto_}) {
        fs::remove_all(step(16));
        fs::remove_all(step(20));
        const Ended on = run(command);
        EXPECT_EQ(on.code, 0) << on.err;
        EXPECT_TRUE(has(on.out, "resumed from runs/a/checkpoints/step-00000012")) << on.out;
        EXPECT_EQ(has(on.err, "goes on from its step 12"), command == back_) << on.err;
        EXPECT_EQ(digest("a", 20), second_digest);
        EXPECT_TRUE(has(run(back_).out, "finished")) << "what auto went on with is of the branch too";
    }
    EXPECT_FALSE(fs::exists(folder_ / second_aside_));
    EXPECT_EQ(names(folder_ / aside_), left);

    // And back to what was left.
    const Ended returned = run("train c.yaml train.steps=20 checkpoint.resume=" + aside_ + "/step-00000016");
    ASSERT_EQ(returned.code, 0) << returned.err;
    EXPECT_EQ(digest("a", 20), digest_);
    EXPECT_EQ(names(folder_ / aside_), left);
    EXPECT_EQ(names(folder_ / second_aside_).size(), 6u) << "4, 8, 12, 16, 20 and the metrics";
    EXPECT_EQ(run("eval " + aside_ + "/step-00000012").code, 0);
}

TEST_F(Branches, PruningKeepsTheNewestOfTheBranch) {
    ASSERT_EQ(run(back_ + "checkpoint.keep=1").code, 0);
    EXPECT_EQ(names(checkpoints()), (std::vector<std::string>{"LATEST", "step-00000020"}));
    EXPECT_EQ(text("runs/a/checkpoints/LATEST"), "step-00000020\n");
    EXPECT_EQ(names(folder_ / aside_).size(), 4u);
    const Ended again = run(back_ + "checkpoint.keep=1");  // what it began from is pruned
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(has(again.out, "finished")) << again.out;
    EXPECT_EQ(run(back_ + "checkpoint.keep=1 optimizer.lr=0.03").code, 4) << "not the same command, and no start";
}

TEST_F(Branches, AnotherConfigBeginsThereOnceMore) {
    ASSERT_EQ(run(back_).code, 0);
    ASSERT_EQ(run(back_ + "optimizer.lr=0.03", 2).code, 0);
    EXPECT_EQ(names(folder_ / second_aside_).size(), 4u);
    EXPECT_EQ(parse_json(text(aside_ + "/step-00000020/manifest.json"))["digest"], digest_);
}

TEST_F(Branches, RefusedNothingIsTouched) {
    const auto before = names(checkpoints());
    for (const char* why : {"model.hidden=64", "optimizer.lr=0.5", "data.train.0.path=nowhere"}) {
        EXPECT_NE(
            run("train c.yaml train.steps=20 checkpoint.resume=runs/a/checkpoints/step-00000008 " + std::string(why))
                .code,
            0);
        EXPECT_EQ(names(checkpoints()), before);
        EXPECT_FALSE(fs::exists(folder_ / aside_));
        EXPECT_EQ(course("a"), first_);
    }
}

TEST_F(Branches, TheNewestAndTheRunItselfSetNothingAside) {
    for (const char* from : {"runs/a", "runs/a/", "runs/a/checkpoints", "runs/a/checkpoints/step-00000020"})
        EXPECT_EQ(run("train c.yaml train.steps=20 checkpoint.resume=" + std::string(from)).code, 0) << from;
    fs::create_symlink("a/checkpoints/step-00000020", folder_ / "runs/link");
    EXPECT_EQ(run("train c.yaml train.steps=20 checkpoint.resume=runs/link").code, 0);
    EXPECT_FALSE(fs::exists(folder_ / aside_));
}

TEST_F(Branches, AnotherRunsStepTakesTheFolder) {
    ASSERT_EQ(run("train c.yaml run.name=b train.steps=8 optimizer.lr=0.02").code, 0);
    const std::string command =
        "train c.yaml run.name=b train.steps=20 checkpoint.resume=runs/a/checkpoints/step-00000012";
    const Ended taken = run(command);
    ASSERT_EQ(taken.code, 0) << taken.err;
    EXPECT_EQ(digest("b", 20), digest_);
    EXPECT_EQ(names(folder_ / "runs/b/checkpoints_set_aside_1"),
              (std::vector<std::string>{"metrics.jsonl", "step-00000004", "step-00000008"}));
    EXPECT_TRUE(has(run(command).out, "finished"));
    EXPECT_FALSE(fs::exists(folder_ / "runs/b/checkpoints_set_aside_2"));
    EXPECT_EQ(names(checkpoints()).size(), 6u) << "the other run is as it was";
}

TEST_F(Branches, AForeignStartIsNotBegunTwice) {
    const std::string command =
        "train c.yaml run.name=b train.steps=20 checkpoint.resume=runs/a/checkpoints/step-00000008";
    ASSERT_EQ(run(command).code, 0);
    for (int64_t n : {16, 20}) fs::remove_all(step(n, "b"));
    const Ended on = run(command);
    EXPECT_EQ(on.code, 0) << on.err;
    EXPECT_TRUE(has(on.out, "resumed from runs/b/checkpoints/step-00000012")) << on.out;
    EXPECT_EQ(digest("b", 20), digest_);
}

}  // namespace
}  // namespace sluice
