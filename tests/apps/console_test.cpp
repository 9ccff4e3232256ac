// What a run shows on a terminal and leaves in its folder: width, colours, the step in place, first and last lines,
// starts, and errors in log.txt.
#include <csignal>
#include <thread>

#include "apps/program.h"
#include "cli/columns.h"
#include "support/matches.h"
#include "support/pseudo_terminal.h"

namespace sluice {
namespace {

class Console : public Program {
 protected:
    // As from a shell in the test's folder, in which nothing speaks of terminals but `environment`.
    std::string sluice(const std::string& environment, const std::string& arguments, int ranks = 1) const {
        const std::string launch = ranks > 1 ? "mpirun -q -n " + std::to_string(ranks) + " " : "";
        return "cd '" + folder_.path().string() + "' && exec env -u TERM -u COLUMNS -u NO_COLOR " + environment + " " +
               launch + "'" SLUICE_PROGRAM "' " + arguments;
    }
    static std::vector<std::string> steps(const std::vector<std::string>& lines) {
        std::vector<std::string> found;
        for (const auto& line : lines)
            if (line.rfind("step ", 0) == 0) found.push_back(line);
        return found;
    }
    static bool has(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }
    std::vector<Json> rows(const std::string& name, const char* key) {
        std::vector<Json> rows;
        std::istringstream lines(text(name));
        for (std::string line; std::getline(lines, line);)
            if (Json row = parse_json(line); row.contains(key)) rows.push_back(row);
        return rows;
    }
};

TEST_F(Console, StepLinesFitTheTerminal) {
    for (const int columns : {20, 40, 80, 110, 150})
        for (const char* environment : {"TERM=xterm", "TERM=dumb", "TERM=xterm NO_COLOR=1", ""}) {
            fs::remove_all(folder_ / "runs");
            const Shown shown = on_terminal(sluice(environment, "train c.yaml log.every=2 eval.every=6"), columns);
            ASSERT_EQ(shown.code, 0) << shown.text;
            const auto lines = steps(shown.lines());
            ASSERT_GE(lines.size(), 7u) << shown.text;
            for (const auto& line : lines) {
                EXPECT_LE(columns_of(line), columns);
                EXPECT_TRUE(columns < 40 || has(line, " | loss ")) << line;
                EXPECT_TRUE(columns == 110 || has(line, " | mem ") == (columns > 110)) << line;
            }
            for (const auto& line : shown.lines())
                EXPECT_TRUE(line.rfind("eval ", 0) != 0 || columns_of(line) <= columns) << line;
            const bool plain = std::string(environment) != "TERM=xterm";
            EXPECT_EQ(has(shown.text, "\x1b"), !plain) << environment;
            EXPECT_EQ(has(shown.text, "\r"), !plain) << environment;
            EXPECT_TRUE(matches(text("runs/a/log.txt"), " info step 2/12 .* mem .* eta ")) << "whole";
        }
}

TEST_F(Console, TheStepInPlaceGivesWayToLines) {
    const Shown shown = on_terminal(sluice("TERM=xterm", "train c.yaml log.every=100 train.steps=30"), 100);
    ASSERT_EQ(shown.code, 0) << shown.text;
    EXPECT_TRUE(has(shown.text, "\r\x1b[Kstep 2/30 | ")) << shown.text;
    for (const auto& line : shown.lines()) EXPECT_FALSE(has(line, "sstep") || has(line, "scheckpoint")) << line;
    EXPECT_FALSE(has(text("runs/a/log.txt"), "step 2/30")) << "it is not a line";
}

TEST_F(Console, AResizedTerminalIsFollowed) {
    bool narrowed = false;
    const Shown shown = on_terminal(sluice("TERM=dumb", "train c.yaml log.every=1 train.steps=400 checkpoint.every=0"),
                                    120, [&](const std::string& text, int terminal) {
                                        if (narrowed || !has(text, "step 2/")) return;
                                        narrowed = true;
                                        winsize size = {};
                                        size.ws_row = 24, size.ws_col = 50;
                                        ioctl(terminal, TIOCSWINSZ, &size);
                                    });
    const auto lines = steps(shown.lines());
    ASSERT_EQ(lines.size(), 400u);
    EXPECT_GT(columns_of(lines.front()), 50);
    EXPECT_LT(columns_of(lines.back()), 50);
}

TEST_F(Console, ATerminalWithoutASizeTakesCOLUMNSOr80) {
    const auto widest = [&](const std::string& environment) {
        fs::remove_all(folder_ / "runs");
        int most = 0;
        for (const auto& line : steps(on_terminal(sluice(environment, "train c.yaml"), 0).lines()))
            most = std::max(most, columns_of(line));
        return most;
    };
    const int given = widest("TERM=xterm COLUMNS=60"), usual = widest("TERM=xterm");
    EXPECT_LT(given, 60);
    EXPECT_GT(given, 30);
    EXPECT_LT(usual, 80);
    EXPECT_GT(usual, 60);
}

TEST_F(Console, MpirunsTerminalIsSeenThroughIt) {
    const Shown shown = on_terminal(sluice("TERM=xterm", "train c.yaml log.every=4", 2), 70);
    ASSERT_EQ(shown.code, 0) << shown.text;
    for (const auto& line : steps(shown.lines())) EXPECT_LT(columns_of(line), 70);
    EXPECT_TRUE(has(shown.text, "\x1b[1mloss ")) << shown.text;
    const std::string piped = sluice("TERM=xterm", "train c.yaml run.name=b log.every=4", 2);
    EXPECT_EQ(on_terminal(piped + " >out", 70).code, 0);
    EXPECT_FALSE(has(text("out"), "\r")) << "mpirun gives ranks a terminal of its own";
    EXPECT_FALSE(has(text("out"), "\x1b"));
    EXPECT_TRUE(matches(text("out"), "step 4/12 .* mem .* eta ")) << text("out");
}

TEST_F(Console, WithoutATerminalLinesAreWholeAndPlain) {
    const Ended ended = run("train c.yaml log.every=5 eval.every=12");
    EXPECT_FALSE(has(ended.out, "\r"));
    EXPECT_FALSE(has(ended.out, "\x1b"));
    std::vector<std::string> lines;
    std::istringstream in(ended.out);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    const auto said = steps(lines);
    ASSERT_EQ(said.size(), 4u) << "1, 5, 10 and 12: " << ended.out;
    for (size_t i = 0; i < said.size(); i++) {
        EXPECT_LE(said[i].size(), 140u);
        for (const char* column : {" | loss ", " | gn ", " | lr ", " tok/s", "% of gemm", " | mem "})
            EXPECT_TRUE(has(said[i], column)) << said[i];
        EXPECT_EQ(has(said[i], " | eta "), i + 1 < said.size()) << said[i];
    }
    EXPECT_EQ(said[0].rfind("step 1/12 ", 0), size_t{0});
    EXPECT_TRUE(has(ended.out, "run runs/a | 1 rank | seed 3\n"));
    EXPECT_TRUE(has(ended.out, " in 1 shard | ")) << ended.out;
    EXPECT_TRUE(matches(ended.out,
                        "\nsluice [0-9.]+ \\(commit [0-9a-z-]+\\) \\| .+, [0-9]+ cores? "
                        "\\| 1 thread a rank\n"))
        << ended.out;
}

TEST_F(Console, TheLastLineTellsWhatItCameTo) {
    const Ended first = run("train c.yaml eval.every=4");
    EXPECT_TRUE(matches(first.out,
                        "\ndone: 12 steps \\| 768 tokens \\| [0-9.]+m?s \\| [0-9.]+K? tok/s \\| loss [0-9.]{6} "
                        "\\| eval held [0-9.]{6} \\| runs/a\n$"))
        << first.out;
    const std::string loss = rows("runs/a/metrics.jsonl", "loss").back()["loss"].dump().substr(0, 4);
    EXPECT_TRUE(has(first.out.substr(first.out.rfind("done: ")), "loss " + loss));
    const Ended longer = run("train c.yaml train.steps=16 checkpoint.allow_change=true");
    EXPECT_TRUE(matches(longer.out,
                        "\ndone: 16 steps, 4 of them in this start \\| 1.02K tokens "
                        "\\| .* \\| loss [0-9.]{6} \\| runs/a\n$"))
        << longer.out;
}

TEST_F(Console, AStoppedRunTellsToo) {
    const Shown shown = on_terminal(
        sluice("TERM=dumb", "train c.yaml train.steps=1000000 checkpoint.every=0 eval.every=2 eval.batches=1"), 200,
        [&, sent = false](const std::string& text, int terminal) mutable {
            if (!sent && has(text, "eval held | step 4 ")) sent = write(terminal, "\x03", 1) == 1;  // Ctrl-C
        });
    EXPECT_EQ(shown.code, 75);
    EXPECT_TRUE(matches(shown.text,
                        "\nstopped at step [0-9]+ of 1000000 with a checkpoint: start again to go on \\| .* tokens? "
                        "\\| .*s \\| .* tok/s \\| loss [0-9.]+ \\| eval held [0-9.]+ \\| runs/a\n$"))
        << shown.text;
}

TEST_F(Console, MetricsBeginEachStartWithAHeader) {
    ASSERT_EQ(run("train c.yaml train.steps=8").code, 0);
    ASSERT_EQ(run("train c.yaml train.steps=12 checkpoint.allow_change=true", 2).code, 0);
    ASSERT_EQ(run("train c.yaml train.steps=12 checkpoint.allow_change=true", 2).code, 0);  // finished: no start
    const auto starts = rows("runs/a/metrics.jsonl", "run"), steps = rows("runs/a/metrics.jsonl", "step");
    ASSERT_EQ(starts.size(), 2u);
    EXPECT_EQ(text("runs/a/metrics.jsonl").rfind("{\"run\":", 0), size_t{0});
    double before = 1.7e9;
    for (const Json& start : starts) {
        EXPECT_FALSE(start.contains("step"));
        for (const char* key : {"version", "commit", "machine", "ranks", "threads", "config_hash", "time"})
            EXPECT_TRUE(start["run"].contains(key)) << key;
        EXPECT_GT(start["run"]["time"].get<double>(), before);
        before = start["run"]["time"].get<double>();
    }
    EXPECT_EQ(starts[0]["run"]["ranks"], 1);
    EXPECT_EQ(starts[1]["run"]["ranks"], 2);
    EXPECT_EQ(starts[1]["run"]["threads"], 1);
    EXPECT_NE(starts[0]["run"]["config_hash"], starts[1]["run"]["config_hash"]);
    ASSERT_EQ(steps.size(), 12u);
    for (size_t i = 0; i < steps.size(); i++) {
        EXPECT_EQ(steps[i]["step"], i + 1);
        EXPECT_GE(steps[i]["time"].get<double>(), i ? steps[i - 1]["time"].get<double>() : 1.7e9);
        EXPECT_GT(steps[i]["gemm_flops_per_second"].get<double>(), 0);
        EXPECT_LE(steps[i]["mfu"].get<double>(), 1) << "what steps reach, products reach";
    }
    EXPECT_TRUE(has(text("runs/a/config.1.yaml"), "steps: 8"));
    EXPECT_TRUE(has(text("runs/a/config.yaml"), "steps: 12"));
    EXPECT_FALSE(fs::exists(folder_ / "runs/a/config.2.yaml"));
}

// Every second step has what probes found, over layers and of each.
TEST_F(Console, StepsThatAreLookedAtSayWhatProbesFound) {
    const Ended ended = run("train c.yaml probes.every=2 train.steps=4 log.every=1 'model.gates=[{position: sdpa}]'");
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_TRUE(matches(ended.out, "step 2/4 .*gate \\.[0-9]+ sink \\.[0-9]+")) << ended.out;
    EXPECT_FALSE(matches(ended.out, "step 1/4 [^\n]*sink")) << ended.out;
    for (const Json& row : rows("runs/a/metrics.jsonl", "step"))
        for (const char* name : {"gate_mean", "gate_sparsity", "f_attn", "attention_entropy", "max_logit", "m_act",
                                 "sdpa_mean_abs", "sdpa_sparsity", "sdpa_mean_abs_gated", "sdpa_sparsity_gated"})
            for (const char* prefix : {"probe/", "probe/layers/0/", "probe/layers/1/"}) {
                const bool looked = row["step"].get<int64_t>() % 2 == 0;
                EXPECT_EQ(row.contains(std::string(prefix) + name), looked) << prefix << name << row.dump();
                if (looked) { EXPECT_TRUE(row[std::string(prefix) + name].is_number()); }
            }
    const Json row = rows("runs/a/metrics.jsonl", "step")[1], histogram = row["probe/layers/1/gate_histogram"];
    EXPECT_FALSE(row.contains("probe/gate_histogram"));
    EXPECT_FALSE(row.contains("probe/layers/1/expert_load"));
    EXPECT_EQ(histogram["width"], 0.05);
    EXPECT_GE(histogram["low"].get<double>(), -1e-12) << "a sigmoid's";
    double shares = 0;
    for (const Json& share : histogram["shares"]) shares += share.get<double>();
    EXPECT_NEAR(shares, 1, 1e-12);
    EXPECT_GT(histogram["shares"].front(), 0);
    EXPECT_GT(histogram["shares"].back(), 0);
}

TEST_F(Console, ARunThatGoesBackHasOneRowAStep) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const auto all = course("a");
    fs::remove_all(folder_ / "runs/a/checkpoints/step-00000012");
    fs::remove_all(folder_ / "runs/a/checkpoints/step-00000008");
    ASSERT_EQ(run("train c.yaml").code, 0);
    const auto steps = rows("runs/a/metrics.jsonl", "step"), before = rows("runs/a/metrics.abandoned.jsonl", "step");
    ASSERT_EQ(steps.size(), 12u);
    for (size_t i = 0; i < steps.size(); i++) EXPECT_EQ(steps[i]["step"], i + 1);
    ASSERT_EQ(before.size(), 8u);
    EXPECT_EQ(before.front()["step"], 5);
    std::string events;
    for (const auto& entry : fs::directory_iterator(folder_ / "runs/a"))
        if (const auto name = entry.path().filename().string(); name.rfind("events.", 0) == 0)
            events = std::max(events, name);
    EXPECT_TRUE(has(text("runs/a/" + events), "\x10\x05\x3a\x02\x08\x01")) << "TensorBoard forgets from step 5 on";
    EXPECT_EQ(course("a"), all);
}

TEST_F(Console, AnErrorLeavesItsLineInTheLog) {
    const std::string keys = " optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40";
    const Ended ended = run("train c.yaml" + keys);
    ASSERT_EQ(ended.code, 6);
    const std::string error = ended.err.substr(ended.err.rfind("error: ") + 7);
    EXPECT_TRUE(has(text("runs/a/log.txt"), " error " + error)) << text("runs/a/log.txt");
    EXPECT_TRUE(has(ended.out, "loss nan") || has(ended.out, "gn nan") || has(ended.out, "inf")) << ended.out;
    EXPECT_FALSE(has(ended.out + ended.err, "-nan"));
    ASSERT_EQ(run("train c.yaml run.name=b" + keys, 2).code, 6);
    const std::string log = text("runs/b/log.txt");
    EXPECT_TRUE(has(log, " error rank 0: step ")) << log;
    EXPECT_FALSE(has(log, " error rank 1: ")) << "rank 0 tells for all: " << log;
}

}  // namespace
}  // namespace sluice
