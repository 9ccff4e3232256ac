// The program as its users run it: a launch, a resume, a signal, a killed rank, bad input.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <thread>

#include "apps/program.h"

namespace sluice {
namespace {

TEST_F(Program, ResumesBitForBitFromEveryCheckpoint) {
    ASSERT_EQ(run("train c.yaml", 2).code, 0);
    ASSERT_EQ(course("a").size(), 12u);
    for (const int step : {4, 8}) {  // in the warm-up; and before the epoch ends
        const std::string name = "b" + std::to_string(step);
        fs::create_directories(folder_ / "runs" / name / "checkpoints");
        const std::string from = "step-0000000" + std::to_string(step);
        fs::copy(folder_ / "runs/a/checkpoints" / from, folder_ / "runs" / name / "checkpoints" / from,
                 fs::copy_options::recursive);
        const Ended resumed = run("train c.yaml run.name=" + name, 2);
        ASSERT_EQ(resumed.code, 0) << resumed.err;
        const auto all = course("a"), rest = course(name);
        EXPECT_EQ(rest, std::vector<std::string>(all.begin() + step, all.end()));
        EXPECT_EQ(digest(name, 12), digest("a", 12));
    }
}

TEST_F(Program, ResumesOnAnotherNumberOfRanks) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    fs::create_directories(folder_ / "runs/b/checkpoints");
    fs::copy(folder_ / "runs/a/checkpoints/step-00000004", folder_ / "runs/b/checkpoints/step-00000004",
             fs::copy_options::recursive);
    const Ended resumed = run("train c.yaml run.name=b", 4);
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    const auto one = course("a"), four = course("b");
    for (size_t s = 0; s < four.size(); s++) EXPECT_NEAR(std::stod(four[s]) / std::stod(one[s + 4]), 1, 1e-5);
}

const std::string kMixture = " 'model.moe={experts: 4, top_k: 2, hidden: 24, shared_hidden: 8}' model.kv_heads=1";

// Meshes over MPI in float, and what one of them wrote resumed by another.
TEST_F(Program, MeshesAgreeWithOneRank) {
    ASSERT_EQ(run("train c.yaml run.name=one train.micro_batch=4" + kMixture).code, 0);
    const auto one = course("one");
    int n = 0;
    for (const auto& [ranks, keys] : {std::pair{2, "train.micro_batch=4 parallel.tensor=2 parallel.sequence=true"},
                                      {2, "train.micro_batch=2 parallel.zero=1 parallel.expert=2"},
                                      {4, "train.micro_batch=2 parallel.tensor=2 parallel.expert=2 parallel.zero=1"}}) {
        SCOPED_TRACE(keys);
        const std::string name = "mesh" + std::to_string(n++);
        const Ended ended = run("train c.yaml run.name=" + name + " " + keys + kMixture, ranks);
        ASSERT_EQ(ended.code, 0) << ended.err;
        const auto many = course(name);
        ASSERT_EQ(many.size(), one.size());
        for (size_t s = 0; s < one.size(); s++) EXPECT_NEAR(std::stod(many[s]) / std::stod(one[s]), 1, 1e-5);
    }
    fs::remove_all(folder_ / "runs/mesh2/checkpoints/step-00000008");
    fs::remove_all(folder_ / "runs/mesh2/checkpoints/step-00000012");
    const Ended resumed = run("train c.yaml run.name=mesh2 train.micro_batch=4 sample.every=0" + kMixture);
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    const auto rest = course("mesh2");
    for (size_t s = 0; s < one.size(); s++) EXPECT_NEAR(std::stod(rest[s]) / std::stod(one[s]), 1, 1e-5);
    const Ended eval = run("eval runs/mesh2 --json"), wide = run("eval runs/mesh2 --json parallel.tensor=2", 2);
    ASSERT_EQ(eval.code, 0) << eval.err;
    ASSERT_EQ(wide.code, 0) << wide.err;
    const auto loss = [](const Ended& e) { return parse_json(e.out)["sets"]["held"]["loss"].get<double>(); };
    EXPECT_NEAR(loss(wide) / loss(eval), 1, 1e-5);
}

TEST_F(Program, PlanTellsWhatFits) {
    const std::string models = "plan '" SLUICE_SOURCE_DIR "/configs/models/";
    const Ended moe = run(models + "moe_15a2b.yaml' --ranks 8 --gpu h200 --json");
    ASSERT_EQ(moe.code, 0) << moe.err;
    const Json plan = parse_json(moe.out);
    EXPECT_EQ(plan["parameters"]["total"].get<int64_t>(), 15577227264);
    EXPECT_EQ(plan["parameters"]["active"].get<int64_t>(), 1987682304);
    EXPECT_FALSE(plan["gpu"]["fits"].get<bool>());
    std::string changes;
    for (const auto& change : plan["gpu"]["nearest"]["changes"]) changes += " " + change.get<std::string>();
    const Ended nearest = run(models + "moe_15a2b.yaml' --gpu h200 --json --ranks " +
                              std::to_string(plan["gpu"]["nearest"]["ranks"].get<int>()) + changes);
    ASSERT_EQ(nearest.code, 0) << nearest.err;
    EXPECT_TRUE(parse_json(nearest.out)["gpu"]["fits"].get<bool>()) << changes;
    for (const char* gpu : {"a100", "h100", "h200", "b200"})
        for (const char* model : {"dense_1p7b_28.yaml", "dense_1p7b_48.yaml", "moe_15a2b.yaml"})
            for (const char* ranks : {"1", "8", "1024"})
                EXPECT_EQ(run(models + model + "' --ranks " + ranks + " --gpu " + gpu).code, 0)
                    << model << gpu << ranks;
    const Ended unknown = run(models + "moe_15a2b.yaml' --gpu v100");
    EXPECT_EQ(unknown.code, 2);
    EXPECT_NE(unknown.err.find("a100, h100, h200, b200"), std::string::npos);
}

TEST_F(Program, SkipsADamagedCheckpointAndSaysSo) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const auto all = course("a");
    fs::resize_file(folder_ / "runs/a/checkpoints/step-00000012/rank-00000.safetensors", 1000);
    const Ended resumed = run("train c.yaml");
    EXPECT_EQ(resumed.code, 0);
    EXPECT_NE(resumed.err.find("step-00000012"), std::string::npos);
    EXPECT_NE(resumed.err.find("1000 bytes"), std::string::npos) << resumed.err;
    EXPECT_EQ(course("a"), all);
}

TEST_F(Program, AFinishedRunSaysSo) {
    ASSERT_EQ(run("train c.yaml", 2).code, 0);
    const std::string metrics = text("runs/a/metrics.jsonl");
    const Ended again = run("train c.yaml", 2);
    EXPECT_EQ(again.code, 0);
    EXPECT_NE(again.out.find("finished"), std::string::npos);
    EXPECT_EQ(text("runs/a/metrics.jsonl"), metrics);
    EXPECT_EQ(run("train c.yaml checkpoint.resume=never").code, 4);
    EXPECT_EQ(run("train c.yaml train.steps=20").code, 4);
    EXPECT_EQ(run("train c.yaml model.hidden=64 checkpoint.allow_change=true").code, 4);
    const Ended longer = run("train c.yaml train.steps=14 checkpoint.allow_change=true");
    EXPECT_EQ(longer.code, 0);
    EXPECT_NE(longer.err.find("train.steps: 12 -> 14"), std::string::npos) << longer.err;
    EXPECT_EQ(course("a").size(), 14u);
}

// A run under mpirun as a process of its own.
class Launched : public Program {
 protected:
    void launch(const std::string& arguments, int ranks) {
        fs::remove(folder_ / "out");  // of an earlier run
        mpirun_ = fork();
        if (mpirun_ == 0) {
            fs::current_path(folder_.path());
            if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr)) _exit(127);
            const std::string n = std::to_string(ranks);
            execlp("bash", "bash", "-c", ("exec mpirun -n " + n + " '" SLUICE_PROGRAM "' " + arguments).c_str(),
                   nullptr);
            _exit(127);
        }
        for (int i = 0; i < 3000 && text("out").find("step 3/") == std::string::npos; i++)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        ranks_ = children(mpirun_);
        if (ranks_.size() != size_t(ranks)) throw std::runtime_error("mpirun did not start: " + text("err"));
    }
    static std::vector<pid_t> children(pid_t parent) {
        std::vector<pid_t> found;
        for (const auto& entry : fs::directory_iterator("/proc")) {
            std::ifstream in(entry.path() / "stat");
            std::string pid, name, state;
            pid_t above = 0;
            if (in >> pid >> name >> state >> above && above == parent) found.push_back(std::stoi(pid));
        }
        std::sort(found.begin(), found.end());
        return found;
    }
    // The exit code, and that nothing of it goes on living.
    int ended() {
        int status = 0;
        for (int i = 0; i < 1500; i++) {
            if (waitpid(mpirun_, &status, WNOHANG) == mpirun_) {
                for (int j = 0; j < 200 && alive(); j++) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                EXPECT_FALSE(alive());
                return WEXITSTATUS(status);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        kill(mpirun_, SIGKILL);
        waitpid(mpirun_, &status, 0);
        ADD_FAILURE() << "hangs";
        return -1;
    }
    bool alive() const {
        for (pid_t pid : ranks_)
            if (kill(pid, 0) == 0) return true;
        return false;
    }
    pid_t mpirun_ = 0;
    std::vector<pid_t> ranks_;
};

TEST_F(Launched, ASignalToOneRankChecksPointsAndEndsWith75) {
    for (const int signal : {SIGUSR1, SIGTERM}) {
        const std::string name = "s" + std::to_string(signal), whole = name + "_whole";
        const auto arguments = [](const std::string& run, int64_t steps) {
            return "train c.yaml schedule.kind=constant optimizer.lr=0.001 checkpoint.every=0 "
                   "checkpoint.allow_change=true run.name=" +
                   run + " train.steps=" + std::to_string(steps);
        };
        launch(arguments(name, 1000000), 2);
        kill(ranks_[1], signal);
        EXPECT_EQ(ended(), 75) << text("err");
        EXPECT_NE(text("out").find("stopped at step"), std::string::npos);
        const int64_t last = newest_step(name) + 5;
        ASSERT_EQ(run(arguments(name, last), 2).code, 0);
        ASSERT_EQ(run(arguments(whole, last), 2).code, 0);
        EXPECT_EQ(course(name), course(whole));
        EXPECT_EQ(digest(name, last), digest(whole, last));
        ranks_.clear();
    }
}

TEST_F(Launched, AKilledRankEndsAll) {
    launch("train c.yaml train.steps=1000000", 4);
    kill(ranks_[1], SIGKILL);
    EXPECT_NE(ended(), 0);
}

TEST_F(Launched, AStoppedRankEndsAllWith7) {
    launch("train c.yaml train.steps=1000000 parallel.timeout=8", 2);
    kill(ranks_[1], SIGSTOP);
    const int code = ended();
    EXPECT_EQ(code, 7);
    EXPECT_NE(text("err").find("lost: rank 1 on "), std::string::npos);
    for (pid_t pid : ranks_) kill(pid, SIGKILL);
}

// Before MPI has started: the other one is a program that never starts it.
TEST_F(Program, ARankThatDoesNotStartEndsAllWith7) {
    const auto start = [&](const std::string& limit) {
        const std::string command = "cd '" + folder_.path().string() + "' && SLUICE_START_TIMEOUT=" + limit +
                                    " mpirun -n 1 '" SLUICE_PROGRAM "' train c.yaml : -n 1 sleep 60 >out 2>err";
        return WEXITSTATUS(std::system(command.c_str()));
    };
    EXPECT_EQ(start("1.5"), 7) << text("err");
    EXPECT_NE(text("err").find("error: rank 0 on "), std::string::npos) << text("err");
    EXPECT_NE(text("err").find(": MPI does not start within 1.50s (SLUICE_START_TIMEOUT): a rank is lost or stopped"),
              std::string::npos)
        << text("err");
    EXPECT_EQ(start("soon"), 2) << text("err");
    EXPECT_NE(text("err").find("SLUICE_START_TIMEOUT=soon is no number"), std::string::npos) << text("err");
}

TEST_F(Program, TenStepsNotFiniteEndWith6) {
    const Ended ended =
        run("train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40", 2);
    EXPECT_EQ(ended.code, 6) << ended.err;
    const size_t at = ended.err.find("10 steps in a row");
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(ended.err.find("10 steps in a row", at + 1), std::string::npos) << "every rank tells";
    EXPECT_NE(text("runs/a/metrics.jsonl").find("\"loss\": null"), std::string::npos);
}

TEST_F(Program, BadInputGetsOneLineAndItsCode) {
    write_shard(folder_ / "big.bin", std::vector<int32_t>(100, 999), 1000);
    std::ofstream(folder_ / "bad.bin") << "not tokens";
    const struct {
        const char* arguments;
        int code;
        const char* word;
    } cases[] = {{"train c.yaml model.hiden=3", 2, "did you mean 'hidden'"},
                 {"train nowhere.yaml", 2, "nowhere.yaml"},
                 {"train c.yaml model.layers=two", 2, "model.layers"},
                 {"train c.yaml train.batch=3 train.micro_batch=2", 2, "micro_batch"},
                 {"train c.yaml 'data.train=[{path: big.bin}]'", 3, "999"},
                 {"train c.yaml 'data.train=[{path: bad.bin}]'", 3, "bad.bin"},
                 {"train c.yaml data.sequence_length=4000", 3, "4001 tokens"},
                 {"train c.yaml data.document_mask=true", 3, "data.delimiter"},
                 {"train c.yaml checkpoint.resume=elsewhere", 4, "elsewhere"},
                 {"train c.yaml run.dir=c.yaml/x", 5, "c.yaml"},
                 {"eval runs", 4, "runs"},
                 {"sample c.yaml --tokens 0", 2, "tokens"},
                 {"trian c.yaml", 2, "did you mean 'train'"},
                 {"train", 2, "config is required"}};
    for (const auto& c : cases)
        for (const int ranks : {1, 2}) {
            if (ranks == 2 && std::string(c.arguments).rfind("train", 0) != 0) continue;
            const Ended ended = run(c.arguments, ranks);
            EXPECT_EQ(ended.code, c.code) << c.arguments << "\n" << ended.err;
            const size_t at = ended.err.find("error: ");
            ASSERT_NE(at, std::string::npos) << c.arguments;
            EXPECT_EQ(ended.err.find("error: ", at + 1), std::string::npos) << "told twice: " << ended.err;
            EXPECT_NE(ended.err.find(c.word), std::string::npos) << c.arguments << "\n" << ended.err;
        }
}

TEST_F(Program, InitFromTakesWeightsAndListsWhatIsNew) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const Ended ended =
        run("train c.yaml run.name=b checkpoint.init_from=runs/a 'model.gates=[{position: sdpa}, {position: value, "
            "granularity: headwise, bias: true}, {position: output}]'");
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_NE(ended.err.find("layers.0.attention.gates.2.weight"), std::string::npos);
    EXPECT_EQ(course("b").size(), 12u);
}

TEST_F(Program, EvaluatesEveryTokenButTheFirst) {
    ASSERT_EQ(run("train c.yaml eval.every=12 train.micro_batch=4").code, 0);
    const Json one = parse_json(run("eval runs/a --json").out),
               short_windows = parse_json(run("eval runs/a --json train.micro_batch=2").out);
    EXPECT_EQ(one["sets"]["held"]["tokens"], 400);
    EXPECT_TRUE(one["sets"]["held"]["bits_per_byte"].is_null());
    EXPECT_NEAR(one["sets"]["held"]["loss"].get<double>(), short_windows["sets"]["held"]["loss"].get<double>(), 1e-6);
    std::istringstream lines(text("runs/a/metrics.jsonl"));
    std::string last;
    for (std::string line; std::getline(lines, line);) last = line;
    EXPECT_NEAR(parse_json(last)["eval/held/loss"].get<double>(), one["sets"]["held"]["loss"].get<double>(), 1e-6);
}

TEST_F(Program, ABadDiskKeepsTheLastCheckpoint) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const Ended ended = run("train c.yaml train.steps=16 checkpoint.allow_change=true; exit $?");
    ASSERT_EQ(ended.code, 0);
    fs::remove(folder_ / "runs/a/metrics.jsonl");
    fs::create_directory(folder_ / "runs/a/metrics.jsonl");
    EXPECT_EQ(run("train c.yaml train.steps=20 checkpoint.allow_change=true").code, 5);
    EXPECT_TRUE(fs::exists(folder_ / "runs/a/checkpoints/step-00000016/manifest.json"));
}

}  // namespace
}  // namespace sluice
