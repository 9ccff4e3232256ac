// A run and its folder: two runs at once, what a crash or a user left there.
#include <csignal>
#include <thread>

#include "apps/run_folder.h"

namespace sluice {
namespace {

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
                parse_json(text("runs/a/checkpoints/" + name + "/manifest.json"))["optimizer"]["skipped_in_a_row"]
                    .get<int64_t>());
    EXPECT_EQ(skipped, (std::vector<int64_t>{0, 8, 9}));
}

}  // namespace
}  // namespace sluice
