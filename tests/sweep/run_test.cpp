// Sweeps as users run them: whole, stopped, killed, run again, changed, two at once, with points that fail or diverge.
#include <csignal>
#include <thread>

#include "apps/program.h"
#include "base/child.h"
#include "checkpoint/checkpoint.h"
#include "support/pseudo_terminal.h"
#include "sweep/losses.h"

namespace sluice {
namespace {

class Sweeps : public Program {
 protected:
    void SetUp() override {
        Program::SetUp();
        write("s.yaml", R"(base: c.yaml
variants: {none: ['model.gates=[]'], gate: []}
seeds: [1, 2]
)");
    }
    void TearDown() override {
        if (started_ <= 0) return;
        kill(started_, SIGKILL);
        waitpid(started_, nullptr, 0);
    }
    void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
    static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
    static size_t count(const std::string& text, const std::string& part) {
        size_t n = 0;
        for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) n++;
        return n;
    }
    std::map<std::string, std::string> states(const std::string& arguments = "s.yaml") {
        const Ended listed = run("sweep " + arguments + " --dry-run --json");
        EXPECT_EQ(listed.code, 0) << listed.err;
        std::map<std::string, std::string> states;
        const Json all = parse_json(listed.out);
        for (const Json& point : all["points"])
            states[point["folder"].get<std::string>()] = point["state"].get<std::string>();
        return states;
    }

    // In the background, in a process group of its own.
    void start(const std::string& arguments) {
        for (const char* name : {"out", "err"}) fs::remove(folder_ / name);
        started_ = fork();
        if (started_ != 0) return;
        setsid();
        fs::current_path(folder_.path());
        if (!freopen("out", "w", stdout) || !freopen("err", "w", stderr)) _exit(127);
        const std::string command = "exec '" SLUICE_PROGRAM "' " + arguments;
        execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
        _exit(127);
    }
    int ended() {
        int status = 0;
        waitpid(started_, &status, 0);
        started_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    static void until(const std::function<bool()>& there, const char* what) {
        for (int i = 0; i < 6000; i++) {
            if (there()) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        FAIL() << "waited for " << what;
    }
    int64_t logged(const std::string& point) {
        Losses losses(folder_ / "runs/s/points" / point / "metrics.jsonl");
        losses.read();
        return losses.last() ? losses.last()->step : 0;
    }
    void until_trains(const std::string& point, int64_t step) {
        until([&] { return logged(point) >= step; }, point.c_str());
    }
    // Of all processes that were started for a point in this test's folder.
    std::vector<std::string> children() {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator("/proc")) {
            std::ifstream in(entry.path() / "environ");
            std::ostringstream text;
            text << in.rdbuf();
            if (has(text.str(), "SLUICE_STOP_FILE=" + fs::weakly_canonical(folder_.path()).string()))
                found.push_back(entry.path().filename());
        }
        return found;
    }
    // The newest checkpoint of a point that was killed: one that is half written does not count.
    int64_t whole_step(const std::string& point) {
        const auto steps = list_checkpoints(folder_ / "runs/s/points" / point / "checkpoints");
        return steps.empty() ? -1 : step_of(steps[0]);
    }
    std::string point(const std::string& name) { return "s/points/" + name; }
    pid_t started_ = 0;
};

TEST_F(Sweeps, TrainEveryPointAsTrainDoes) {
    fs::create_directories(folder_ / "runs/s/points/gate/seed-2");
    write("runs/s/points/gate/seed-2/stop", "");  // left by a sweep that was killed while it stopped
    const Ended whole = run("sweep s.yaml");
    ASSERT_EQ(whole.code, 0) << whole.out << whole.err;
    for (const char* name : {"none/seed-1", "none/seed-2", "gate/seed-1", "gate/seed-2"}) {
        EXPECT_TRUE(has(whole.out, std::string(name) + ": starts\n")) << whole.out;
        EXPECT_TRUE(has(whole.out, std::string(name) + ": done | loss ")) << whole.out;
    }
    EXPECT_TRUE(has(whole.out, "s: 4 done | runs/s\n") && !has(whole.out, "failed")) << whole.out;
    EXPECT_TRUE(fs::exists(folder_ / "runs/s/sweep.yaml"));
    EXPECT_FALSE(fs::exists(folder_ / "runs/s/.lock"));
    ASSERT_EQ(run("train c.yaml run.seed=2 run.name=alone").code, 0);
    EXPECT_EQ(course(point("gate/seed-2")), course("alone"));
    EXPECT_NE(course(point("none/seed-2")), course("alone"));
    EXPECT_EQ(digest(point("gate/seed-2"), 12), digest("alone", 12));
    for (const auto& [folder, state] : states()) EXPECT_EQ(state, "done") << folder;

    const std::string before = text("runs/s/points/gate/seed-2/log.txt");
    for (const char* again : {"sweep s.yaml", "sweep runs/s", "sweep s.yaml sweep.parallel=2 log.every=3"}) {
        const Ended skipped = run(again);
        EXPECT_EQ(skipped.code, 0) << skipped.err;
        EXPECT_EQ(skipped.out, "s: 4 done | runs/s\nreport: runs/s/report.html\n");
        EXPECT_EQ(text("runs/s/points/gate/seed-2/log.txt"), before);
    }
    // A point that is lost is made again, and one that is new is made.
    fs::remove_all(folder_ / "runs/s/points/none/seed-1");
    const Ended more = run("sweep s.yaml seeds=[1,2,3] variants.third=[optimizer.lr=0.02]");
    EXPECT_EQ(more.code, 0) << more.err;
    EXPECT_EQ(count(more.out, ": starts"), 6u) << more.out;
}

TEST_F(Sweeps, ListTheirPoints) {
    const Ended listed = run("sweep s.yaml --dry-run --json 'axes={optimizer.lr: [1e-2, 0.02]}'");
    ASSERT_EQ(listed.code, 0) << listed.err;
    const Json points = parse_json(listed.out)["points"];
    ASSERT_EQ(points.size(), 8u);
    EXPECT_EQ(points[1]["variant"], "none");
    EXPECT_EQ(points[1]["axes"], (Json{{"optimizer.lr", 0.01}}));
    EXPECT_EQ(points[1]["seed"], 2);
    EXPECT_EQ(points[1]["folder"], "runs/s/points/none,optimizer.lr=1e-2/seed-2");
    EXPECT_EQ(points[1]["state"], "waiting");
    EXPECT_EQ(points[1]["tokens"], 12 * 4 * 16);
    EXPECT_EQ(points[1]["training_flops"].get<double>(), points[1]["flops_per_token"].get<double>() * 12 * 4 * 16);
    EXPECT_GT(points[4]["parameters"], points[1]["parameters"]);
    EXPECT_GT(points[1]["expected_seconds"], 0);
    EXPECT_FALSE(fs::exists(folder_ / "runs"));
    const Ended table = run("sweep s.yaml --dry-run");
    EXPECT_TRUE(has(table.out, "\ngate/seed-2  waiting") && has(table.out, "\n4 points | ")) << table.out;
    const Ended on_gpu = run("sweep s.yaml --dry-run --json --gpu h200");
    EXPECT_GT(parse_json(on_gpu.out)["points"][0]["expected_seconds"], 0) << on_gpu.err;
    for (const char* wrong : {"sweep s.yaml --json", "sweep s.yaml --gpu h200", "sweep s.yaml --dry-run --gpu x",
                              "sweep s.yaml model.heads=3", "sweep nowhere.yaml", "sweep s.yaml --dry-run seed=[1]"}) {
        const Ended refused = run(wrong);
        EXPECT_EQ(refused.code, 2) << wrong;
        EXPECT_EQ(count(refused.err, "\n"), 1u) << refused.err;
        EXPECT_FALSE(fs::exists(folder_ / "runs")) << wrong;
    }
    EXPECT_EQ(run("sweep s.yaml 'data.train=[{path: nowhere.bin}]'").code, 3);
    EXPECT_EQ(run("sweep s.yaml", 2).code, 2);  // under mpirun
    EXPECT_FALSE(fs::exists(folder_ / "runs"));
}

// Stopped by both signals, and gone on with.
TEST_F(Sweeps, StopWithCheckpointsAndGoOn) {
    for (const char* ranks : {"1", "2"}) {
        const std::string arguments =
            "sweep s.yaml sweep.parallel=2 train.steps=1000000 checkpoint.every=0 checkpoint.keep=2 sweep.ranks=" +
            std::string(ranks);
        int64_t saved = 0;
        for (const int signal : {SIGINT, SIGTERM}) {
            start(arguments);
            for (const char* name : {"none/seed-1", "none/seed-2"}) until_trains(name, saved + 2);
            kill(-started_, signal);
            EXPECT_EQ(ended(), 75) << text("out") << text("err");
            EXPECT_TRUE(children().empty());
            const std::string out = text("out");
            EXPECT_TRUE(has(out, "none/seed-1: stopped at step ") && has(out, "none/seed-2: stopped at step ")) << out;
            EXPECT_FALSE(has(out, "failed") || has(out, "gate/seed-1")) << out;
            const std::string how = saved > 0 ? "goes on from step " + std::to_string(saved) : "starts";
            EXPECT_TRUE(has(out, "none/seed-1: " + how + "\n")) << out;
            EXPECT_GT(newest_step(point("none/seed-1")), saved);
            saved = newest_step(point("none/seed-1"));
            const auto left = states(arguments.substr(6));
            EXPECT_EQ(left.at("runs/s/points/none/seed-2"), "partial");
            EXPECT_EQ(left.at("runs/s/points/gate/seed-1"), "waiting");
        }
        fs::remove_all(folder_ / "runs");
    }
}

// A kill that nobody can see coming: no process is left, and the next start goes on.
TEST_F(Sweeps, LeaveNoProcessWhenTheyAreKilled) {
    for (const char* ranks : {"1", "2"}) {
        const std::string arguments =
            "sweep s.yaml sweep.parallel=2 train.steps=1000000 checkpoint.every=5 checkpoint.keep=2 sweep.ranks=" +
            std::string(ranks);
        start(arguments);
        for (const char* name : {"none/seed-1", "none/seed-2"}) until_trains(name, 12);
        EXPECT_GE(children().size(), 2 * size_t(std::stoi(ranks)));
        kill(started_, SIGKILL);
        for (const std::string& child : children())  // ranks end without mpirun's help too
            if (std::string name; std::ifstream("/proc/" + child + "/comm") >> name && name == "mpirun")
                kill(std::stoi(child), SIGKILL);
        EXPECT_EQ(ended(), 1000 + SIGKILL);
        until([&] { return children().empty(); }, "the children's end");
        const int64_t saved = whole_step("none/seed-1");
        EXPECT_GE(saved, 5);
        start(arguments);
        const std::string goes_on = "none/seed-1: goes on from step " + std::to_string(saved) + "\n";
        until([&] { return has(text("out"), goes_on); }, "the next start");
        until_trains("none/seed-1", saved + 1);
        kill(started_, SIGTERM);
        EXPECT_EQ(ended(), 75) << text("out") << text("err");
        fs::remove_all(folder_ / "runs");
    }
}

TEST_F(Sweeps, AreRefusedASecondTimeAtOnce) {
    start("sweep s.yaml train.steps=1000000");
    until_trains("none/seed-1", 1);
    const Ended second = run("sweep s.yaml train.steps=1000000");
    EXPECT_EQ(second.code, 4);
    EXPECT_TRUE(has(second.err, "runs/s: held by another sweep, process " + std::to_string(started_))) << second.err;
    EXPECT_TRUE(has(second.err, "choose another sweep.name")) << second.err;
    kill(started_, SIGTERM);
    EXPECT_EQ(ended(), 75) << text("out");
}

TEST_F(Sweeps, NeverMixTwoConfigsInAFolder) {
    ASSERT_EQ(run("sweep s.yaml seeds=[1]").code, 0);
    const std::string before = digest(point("gate/seed-1"), 12);
    for (const char* change : {"optimizer.lr=0.02", "train.steps=13", "model.layers=3", "eval.every=4",
                               "data.validation=[]", "train.batch=8"})
        for (const char* dry : {"", " --dry-run"}) {
            const Ended refused = run(std::string("sweep s.yaml seeds=[1] '") + change + "'" + dry);
            EXPECT_EQ(refused.code, 4) << change;
            const std::string key = std::string(change).substr(0, std::string(change).find('='));
            for (const char* name : {"none/seed-1", "gate/seed-1"})
                EXPECT_TRUE(has(refused.err, std::string("error: point ") + name + ": runs/s/points/" + name +
                                                 " was begun with another config: " + key))
                    << refused.err;
        }
    EXPECT_EQ(digest(point("gate/seed-1"), 12), before);
    EXPECT_EQ(run("sweep s.yaml seeds=[1]").code, 0);
    // Only what changed is refused; one that has no step may change.
    const Ended one = run("sweep s.yaml seeds=[1] 'variants={gate: [optimizer.lr=0.02]}'");
    EXPECT_EQ(one.code, 4);
    EXPECT_EQ(count(one.err, "\n"), 1u) << one.err;
    EXPECT_EQ(run("sweep s.yaml 'variants={gate: [optimizer.lr=0.02]}' seeds=[2] 'variants.none=[]'").code, 0);
}

TEST_F(Sweeps, NeverMixTwoSweepsInAFolder) {
    ASSERT_EQ(run("sweep s.yaml seeds=[1]").code, 0) << text("err");
    const std::string before = text("runs/s/sweep.yaml");
    write("other.yaml", "sweep: {name: s}\nbase: c.yaml\nvariants: {wide: [model.ffn.hidden=64]}\n");
    for (const char* dry : {"", " --dry-run"}) {
        EXPECT_EQ(run(std::string("sweep other.yaml") + dry).code, 4);
        EXPECT_TRUE(has(text("err"), "error: runs/s holds another sweep, with the points gate, none: ")) << text("err");
    }
    EXPECT_EQ(text("runs/s/sweep.yaml"), before);
    ASSERT_EQ(run("train c.yaml train.steps=1").code, 0);
    EXPECT_EQ(run("sweep other.yaml sweep.name=a").code, 4);
    EXPECT_TRUE(has(text("err"), "error: runs/a is the folder of a run: ")) << text("err");
    EXPECT_EQ(run("sweep s.yaml seeds=[1] variants.wide=[model.ffn.hidden=64]").code, 0) << text("err");  // one more
}

TEST_F(Sweeps, TryAgainWhatFails) {
    const std::vector<int32_t> tokens(16 * 25 + 1, 96);
    write_shard(folder_ / "bad.bin", tokens, 97);
    const std::string variants = " seeds=[1] 'variants={bad: [\"data.train=[{path: bad.bin}]\", model.vocab=90]}'";
    const Ended failed = run("sweep s.yaml sweep.retries=2" + variants);
    EXPECT_EQ(failed.code, 1) << failed.out;
    for (const char* part :
         {"bad/seed-1: failed (code 3, try 1 of 3, to be tried again): ",
          "bad/seed-1: failed (code 3, try 2 of 3, to be tried again): ",
          "bad/seed-1: failed (code 3, try 3 of 3): bad.bin", "| runs/s/points/bad/seed-1/console.txt\n",
          "none/seed-1: done", "gate/seed-1: done", "s: 2 done, 1 failed | runs/s\n"})
        EXPECT_TRUE(has(failed.out, part)) << part << "\n" << failed.out;
    EXPECT_EQ(count(text("runs/s/points/bad/seed-1/console.txt"), "error: "), 3u);
    EXPECT_EQ(states("s.yaml" + variants).at("runs/s/points/bad/seed-1"), "failed");
    // Mended by its config, which may change as long as there is no step.
    const std::string mending = " seeds=[1] 'variants={bad: [\"data.train=[{path: bad.bin}]\"]}'";
    const Ended mended = run("sweep s.yaml" + mending);
    EXPECT_EQ(mended.code, 0) << mended.out << mended.err;
    EXPECT_EQ(mended.out.find("none/seed-1"), std::string::npos) << mended.out;
    EXPECT_EQ(states("s.yaml" + mending).at("runs/s/points/bad/seed-1"), "done");
}

TEST_F(Sweeps, TakeADivergedRunForAResult) {
    const std::string sweep =
        "s.yaml seeds=[1] 'variants={infinite: [optimizer.lr=1e30, optimizer.grad_clip=0, schedule.warmup_steps=0], "
        "high: [optimizer.lr=3, schedule.warmup_steps=0]}'";
    for (const char* ranks : {"1", "2"}) {
        const std::string arguments = sweep + " sweep.ranks=" + ranks;
        const Ended ended = run("sweep " + arguments);
        EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
        EXPECT_TRUE(has(ended.out, "infinite/seed-1: diverged: ") && has(ended.out, "10 steps in a row")) << ended.out;
        EXPECT_TRUE(has(ended.out, "high/seed-1: diverged: its last loss, ")) << ended.out;
        EXPECT_TRUE(has(ended.out, "s: 2 done, 2 diverged | runs/s\n")) << ended.out;
        const auto found = states(arguments);
        EXPECT_EQ(found.at("runs/s/points/infinite/seed-1"), "diverged");
        EXPECT_EQ(found.at("runs/s/points/high/seed-1"), "diverged");
        EXPECT_EQ(found.at("runs/s/points/gate/seed-1"), "done");
        const Ended again = run("sweep " + arguments);
        EXPECT_EQ(again.code, 0);
        EXPECT_EQ(again.out, "s: 2 done, 2 diverged | runs/s\nreport: runs/s/report.html\n");
        fs::remove_all(folder_ / "runs");
    }
}

TEST_F(Sweeps, StopWhatDivergesWhereAsked) {
    const std::string sweep =
        "s.yaml seeds=[1] sweep.stop_on_divergence=true 'variants={high: [optimizer.lr=3, train.steps=1000000, "
        "schedule.kind=constant, schedule.warmup_steps=0]}'";
    const Ended ended = run("sweep " + sweep);
    EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
    EXPECT_TRUE(has(ended.out, "high/seed-1: diverged: stopped at step ")) << ended.out;
    EXPECT_TRUE(has(ended.out, "s: 2 done, 1 diverged | runs/s\n")) << ended.out;
    EXPECT_EQ(states(sweep).at("runs/s/points/high/seed-1"), "diverged");
    EXPECT_EQ(run("sweep " + sweep).out, "s: 2 done, 1 diverged | runs/s\nreport: runs/s/report.html\n");
}

TEST_F(Sweeps, ShowOnATerminalWhatTrains) {
    const std::string command = "cd '" + folder_.path().string() +
                                "' && exec env TERM=xterm '" SLUICE_PROGRAM
                                "' sweep s.yaml train.steps=1000000 seeds=[1]";
    bool stopped = false;
    const Shown shown = on_terminal(command, 60, [&](const std::string& so_far, int terminal) {
        if (stopped || !has(so_far, "  none/seed-1 | step ") || !has(so_far, " left")) return;
        stopped = ::write(terminal, "\x03", 1) == 1;  // Ctrl-C
    });
    EXPECT_EQ(shown.code, 75) << shown.text;
    EXPECT_TRUE(has(shown.text, "s: 1 training, 1 waiting | ")) << shown.text;
    for (const std::string& line : shown.lines()) {
        const bool stays = has(line, ": ") && !has(line, "training");
        EXPECT_TRUE(stays || line.size() < 60) << line;
    }
    EXPECT_EQ(run("sweep s.yaml --dry-run train.steps=1000000").code, 0);
}

}  // namespace
}  // namespace sluice
