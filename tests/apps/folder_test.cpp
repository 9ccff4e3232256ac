// A run and its folder: data that change under it, going back, two runs at once, what a crash or a user left there.
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "apps/program.h"

namespace sluice {
namespace {

class RunFolder : public Program {
 protected:
    fs::path checkpoints(const std::string& name = "a") { return folder_ / "runs" / name / "checkpoints"; }
    fs::path step(int64_t n, const std::string& name = "a") {
        char text[24];
        std::snprintf(text, sizeof text, "step-%08lld", (long long)n);
        return checkpoints(name) / text;
    }
    static std::vector<std::string> names(const fs::path& folder) {
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
        std::sort(names.begin(), names.end());
        return names;
    }
    static bool has(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }
    void shard(const std::string& name, int64_t samples, int32_t seed) {
        std::vector<int32_t> tokens(size_t(16 * samples + 1));
        for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t((i * i + size_t(seed) * i) % 97);
        fs::create_directories((folder_ / name).parent_path());
        write_shard(folder_ / name, tokens, 97);
    }
};

// ---------------------------------------------------------------- data
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
    Json json = Json::parse(text("runs/a/checkpoints/step-00000004/manifest.json"));
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

// ---------------------------------------------------------------- going back
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
    EXPECT_EQ(Json::parse(text(aside_ + "/step-00000020/manifest.json"))["digest"], digest_);
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
    EXPECT_EQ(Json::parse(text(aside_ + "/step-00000020/manifest.json"))["digest"], digest_);
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

// ---------------------------------------------------------------- two runs
class Background : public RunFolder {
 protected:
    void start(const std::string& arguments, const std::string& until) {
        pid_ = fork();
        if (pid_ == 0) {
            fs::current_path(folder_.path());
            if (!freopen("first", "w", stdout) || !freopen("first_err", "w", stderr)) _exit(127);
            execlp("bash", "bash", "-c", ("exec '" SLUICE_PROGRAM "' " + arguments).c_str(), nullptr);
            _exit(127);
        }
        for (int i = 0; i < 3000 && text("first").find(until) == std::string::npos; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    int end(int signal) {
        int status = 0;
        kill(pid_, signal);
        waitpid(pid_, &status, 0);
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    void TearDown() override {
        if (pid_ > 0) end(SIGKILL);
    }
    pid_t pid_ = 0;
};

TEST_F(Background, ASecondRunIsRefusedBeforeItTouchesAnything) {
    const std::string command = "train c.yaml train.steps=1000000 checkpoint.keep=2 log.every=1000";
    fs::create_symlink("runs", folder_ / "link");
    start(command + " log.every=1", "step 9/");
    const std::string config = text("runs/a/config.yaml");
    kill(pid_, SIGSTOP);
    const std::string metrics = text("runs/a/metrics.jsonl"), log = text("runs/a/log.txt");
    for (const auto& [second, ranks] : {std::pair{command, 2}, {command + " run.dir=link", 1}}) {
        const Ended refused = run(second + " optimizer.lr=7 checkpoint.allow_change=true", ranks);
        EXPECT_EQ(refused.code, 4) << refused.err;
        EXPECT_TRUE(has(refused.err, "held by another run, process " + std::to_string(pid_) + " on ")) << refused.err;
        EXPECT_TRUE(has(refused.err, "waiting 5 s")) << refused.err;
    }
    EXPECT_EQ(text("runs/a/config.yaml"), config);
    EXPECT_EQ(text("runs/a/metrics.jsonl"), metrics);
    EXPECT_EQ(text("runs/a/log.txt"), log);
    EXPECT_EQ(run("eval runs/a").code, 0) << "reading is no running";
    kill(pid_, SIGCONT);
    EXPECT_EQ(end(SIGTERM), 75);
    EXPECT_FALSE(fs::exists(folder_ / "runs/a/.lock"));
}

TEST_F(Background, OneThatIsKilledHoldsNothing) {
    start("train c.yaml train.steps=1000000", "step 9/");
    EXPECT_TRUE(fs::exists(folder_ / "runs/a/.lock"));
    end(SIGKILL);
    const Ended next = run("train c.yaml train.steps=12 checkpoint.allow_change=true");
    EXPECT_NE(next.code, 4) << next.err;
    EXPECT_FALSE(has(next.err, "held by")) << next.err;
}

// Going back, killed at any moment, then gone on with: the same config comes to the same bits.
TEST_F(Background, KilledWhileGoingBackItComesToTheSameEnd) {
    ASSERT_EQ(run("train c.yaml train.steps=20").code, 0);
    const std::string digest_of_whole = digest("a", 20);
    const auto whole = course("a");
    for (int i = 0; i < 6; i++) {
        const std::string name = "b" + std::to_string(i), command = "train c.yaml train.steps=20 run.name=" + name;
        fs::copy(folder_ / "runs/a", folder_ / "runs" / name, fs::copy_options::recursive);
        start(command + " checkpoint.resume=runs/" + name + "/checkpoints/step-00000008",
              std::vector<std::string>{"", "run ", "step 9/", "step 12/", "step 13/", "step 17/"}[size_t(i)]);
        end(SIGKILL);
        const Ended on = run(command);
        ASSERT_EQ(on.code, 0) << on.err;
        EXPECT_EQ(digest(name, 20), digest_of_whole);
        EXPECT_EQ(course(name), whole);
    }
}

// ---------------------------------------------------------------- what lies about
TEST_F(RunFolder, AllRanksStartFromWhatRankZeroFound) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const Ended weights =
        run("train c.yaml run.name=b checkpoint.init_from=runs/a 'model.gates=[{position: output}]'", 2);
    EXPECT_EQ(weights.code, 4) << "a gate of another shape";
    EXPECT_EQ(run("train c.yaml run.name=b checkpoint.init_from=runs/a", 2).code, 0);
    EXPECT_EQ(course("b").size(), 12u);
    EXPECT_NE(course("b"), course("a"));
    const auto whole = course("a");
    fs::remove_all(step(12));
    fs::remove(step(8) / "manifest.json");
    EXPECT_EQ(run("train c.yaml", 2).code, 0);
    for (size_t s = 0; s < 12; s++) EXPECT_NEAR(std::stod(course("a")[s]) / std::stod(whole[s]), 1, 1e-5);
}

TEST_F(RunFolder, AFinishedRunSweepsWhatACrashLeft) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    std::ofstream(checkpoints() / "LATEST.tmp") << "step-00000012\n";
    fs::create_directories(checkpoints() / "step-00000012.tmp");
    fs::create_directories(checkpoints() / "step-00000008.trash");
    std::ofstream(checkpoints() / "notes.tmp") << "mine";
    std::ofstream(step(12) / ".nfs000123") << "x";
    const Ended again = run("train c.yaml", 2);
    EXPECT_EQ(again.code, 0);
    EXPECT_TRUE(has(again.out, "finished"));
    EXPECT_EQ(names(checkpoints()),
              (std::vector<std::string>{"LATEST", "notes.tmp", "step-00000004", "step-00000008", "step-00000012"}));
    EXPECT_TRUE(has(again.err, "ignored what is no checkpoint: notes.tmp")) << again.err;
    EXPECT_TRUE(has(again.err, "step-00000012: ignored what its manifest does not list: .nfs000123")) << again.err;
    const Ended eval = run("eval runs/a");
    EXPECT_EQ(eval.code, 0);
    EXPECT_TRUE(has(eval.err, ".nfs000123")) << eval.err;
}

TEST_F(RunFolder, AStrayFileLeavesTheNewestStepTheNewest) {
    ASSERT_EQ(run("train c.yaml train.steps=8").code, 0);
    const std::string before = text("runs/a/checkpoints/step-00000008/manifest.json");
    std::ofstream(step(8) / ".DS_Store") << "x";
    const Ended longer = run("train c.yaml train.steps=12 checkpoint.allow_change=true");
    EXPECT_EQ(longer.code, 0);
    EXPECT_TRUE(has(longer.out, "resumed from runs/a/checkpoints/step-00000008")) << longer.out;
    EXPECT_EQ(text("runs/a/checkpoints/step-00000008/manifest.json"), before);
    EXPECT_TRUE(fs::exists(step(8) / ".DS_Store"));
}

TEST_F(RunFolder, ThatCannotBeReadIsOneLineAndACode) {
    const auto refuse = [&](const std::string& what) {
        for (const std::string& command : {std::string("train c.yaml"), std::string("eval runs/a")})
            for (const int ranks : {1, 2}) {
                if (ranks == 2 && command[0] == 'e') continue;
                const Ended refused = run(command, ranks);
                EXPECT_EQ(refused.code, 4) << command << refused.err;
                EXPECT_TRUE(has(refused.err, "error: runs/a/checkpoints: cannot read the folder: ")) << refused.err;
                EXPECT_TRUE(has(refused.err, what)) << refused.err;
            }
        fs::remove_all(folder_ / "runs");
        fs::create_directories(folder_ / "runs/a");
    };
    fs::create_directories(folder_ / "runs/a");
    std::ofstream(checkpoints()) << "x";
    refuse("Not a directory");
    fs::create_symlink("nowhere", checkpoints());
    refuse("is a link to nowhere");
    fs::create_symlink("checkpoints", checkpoints());
    refuse("Too many levels");
    fs::remove_all(folder_ / "runs/a");
    fs::create_symlink("a", folder_ / "runs/a");
    EXPECT_EQ(run("train c.yaml").code, 5);
    const Ended loop = run("eval runs/a");
    EXPECT_EQ(loop.code, 4) << loop.err;
    const std::string longest(300, 'x');
    EXPECT_EQ(run("train c.yaml run.dir=" + longest).code, 5);
    EXPECT_EQ(run("eval runs/" + longest).code, 4);
    EXPECT_EQ(run("train c.yaml run.name=b checkpoint.resume=runs/" + longest).code, 4);
}

TEST_F(RunFolder, StepsThatAreNotFiniteLeaveTheLastAppliedOne) {
    const std::string command =
        "train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40 "
        "checkpoint.every=1 checkpoint.keep=2";
    ASSERT_EQ(run(command).code, 6);
    std::vector<int64_t> skipped;
    for (const std::string& name : names(checkpoints()))
        if (name != "LATEST")
            skipped.push_back(
                Json::parse(text("runs/a/checkpoints/" + name + "/manifest.json"))["optimizer"]["skipped_in_a_row"]
                    .get<int64_t>());
    EXPECT_EQ(skipped, (std::vector<int64_t>{0, 8, 9}));
}

}  // namespace
}  // namespace sluice
