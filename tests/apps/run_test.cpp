// What a run does at which step, and what it writes down of itself.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/program.h"

namespace sluice {
namespace {

class Runs : public Program {
 protected:
    // Steps whose rows have a key.
    std::vector<int64_t> steps_with(const std::string& key) {
        std::vector<int64_t> steps;
        for (const Json& row : rows_with(key)) steps.push_back(row["step"].get<int64_t>());
        return steps;
    }
    Json manifest(int64_t step) {
        char path[80];
        std::snprintf(path, sizeof path, "runs/a/checkpoints/step-%08lld/manifest.json", (long long)step);
        return parse_json(text(path));
    }
};

using Steps = std::vector<int64_t>;

TEST_F(Runs, DoEverythingAtTheLastStepToo) {
    const Ended ended =
        run("train c.yaml train.steps=11 log.every=5 eval.every=4 sample.every=3 sample.tokens=2 checkpoint.every=6 "
            "data.tokenizer=bytes model.vocab=257");
    ASSERT_EQ(ended.code, 0) << ended.err;
    const Steps logged = steps_with("loss");
    EXPECT_EQ(Steps(logged.end() - 3, logged.end()), (Steps{5, 10, 11}));
    EXPECT_EQ(steps_with("eval/held/loss"), (Steps{4, 8, 11}));
    for (const char* step : {"3", "6", "9", "11"})
        EXPECT_NE(ended.out.find("sample " + std::string(step) + " | "), std::string::npos) << step;
    std::vector<std::string> saved;
    for (const auto& entry : fs::directory_iterator(folder_ / "runs/a/checkpoints"))
        if (entry.is_directory()) saved.push_back(entry.path().filename());
    std::sort(saved.begin(), saved.end());
    EXPECT_EQ(saved, (std::vector<std::string>{"step-00000006", "step-00000011"}));
}

TEST_F(Runs, EvaluateSoManyBatches) {
    const Ended ended = run("train c.yaml eval.every=12 eval.batches=2");
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_NE(ended.out.find("| 128 tokens"), std::string::npos) << "2 batches of 4 windows of 16: " << ended.out;
    const Ended eval = run("eval runs/a --json eval.batches=3");
    ASSERT_EQ(eval.code, 0) << eval.err;
    EXPECT_EQ(parse_json(eval.out)["sets"]["held"]["tokens"], 192);
}

// The run draws with its seed, after the delimiter and the prompt, as the command does.
TEST_F(Runs, SampleAsTheCommandDoes) {
    const std::string bytes = " data.tokenizer=bytes model.vocab=257";
    const Ended ended =
        run("train c.yaml sample.every=12 sample.tokens=24 'sample.prompt=\"It is\"' optimizer.lr=0" + bytes);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const Ended sample = run("sample runs/a --prompt 'It is' --tokens 24 --seed 3 data.tokenizer=bytes");
    ASSERT_EQ(sample.code, 0) << sample.err;
    EXPECT_NE(ended.out.find("sample 12 | " + sample.out), std::string::npos) << ended.out << sample.out;
    EXPECT_EQ(ended.out.find(run("sample runs/a --prompt 'It is' --tokens 24 --seed 4 data.tokenizer=bytes").out),
              std::string::npos);
}

TEST_F(Runs, WriteDownSeedAndMesh) {
    const auto expect = [&](const std::string& keys, Json mesh) {
        fs::remove_all(folder_ / "runs/a");
        const Ended ended = run("train c.yaml train.steps=1 schedule.warmup_steps=0 run.seed=77 " + keys, 2);
        ASSERT_EQ(ended.code, 0) << ended.err;
        EXPECT_EQ(manifest(1)["rng"]["seed"], 77);
        for (const auto& [name, size] : mesh.items()) EXPECT_EQ(manifest(1)["mesh"][name], size) << name;
    };
    expect("parallel.tensor=2 parallel.sequence=true",
           {{"data", 1}, {"tensor", 2}, {"expert", 1}, {"sequence", 1}, {"zero", 0}});
    expect("parallel.zero=1 parallel.expert=2 'model.moe={experts: 4, top_k: 2, hidden: 24}'",
           {{"data", 2}, {"tensor", 1}, {"expert", 2}, {"sequence", 0}, {"zero", 1}});
}

// Small random routers: nearly all experts are as likely.
TEST_F(Runs, TellOfTheRouters) {
    const auto row_with = [&](const std::string& balance) {
        fs::remove_all(folder_ / "runs/a");
        const Ended ended =
            run("train c.yaml train.steps=1 schedule.warmup_steps=0 'model.moe={experts: 4, top_k: 2, "
                "hidden: 24, balance: " +
                balance + "}'");
        EXPECT_EQ(ended.code, 0) << ended.err;
        return rows_with("step").back();
    };
    const Json row = row_with("global_batch");
    EXPECT_NEAR(row["router_entropy"].get<double>(), std::log(4), 0.1);
    EXPECT_NEAR(row["z"].get<double>(), std::pow(std::log(4), 2), 0.2);
    EXPECT_NEAR(row["balance"].get<double>(), 1, 0.1);
    EXPECT_GT(row["expert_load"].get<double>(), 1);
    EXPECT_LE(row["expert_load"].get<double>(), 2);
    EXPECT_TRUE(row_with("micro_batch").contains("balance"));
    EXPECT_FALSE(row_with("bias").contains("balance"));
    EXPECT_FALSE(row_with("none").contains("balance"));
}

TEST_F(Runs, TheTenthStepSkippedInARowIsTheLast) {
    const Ended ended =
        run("train c.yaml optimizer.lr=1e38 schedule.warmup_steps=0 optimizer.weight_decay=0 train.steps=40");
    EXPECT_EQ(ended.code, 6);
    EXPECT_EQ(rows_with("step").back()["step"], 11) << "one applied, ten skipped";
    EXPECT_EQ(rows_with("step").back()["skipped"], 10);
}

// Of the very step at which it stopped: between two that are due.
TEST_F(Runs, StopWithACheckpoint) {
    const std::string command = "cd '" + folder_.path().string() +
                                "' && { '" SLUICE_PROGRAM
                                "' train c.yaml train.steps=1000000 checkpoint.every=0 "
                                ">out 2>err & run=$!; until grep -q 'step 3/' out || ! kill -0 $run; do sleep 0.02; "
                                "done; kill -TERM $run; wait $run; }";
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 75) << text("err");
    const std::string out = text("out"), stopped = "stopped at step ";
    ASSERT_NE(out.find(stopped), std::string::npos) << out;
    const int64_t step = std::stoll(out.substr(out.find(stopped) + stopped.size()));
    EXPECT_EQ(manifest(step)["step"], step);
    EXPECT_EQ(manifest(step)["data"]["samples"], 4 * step);
}

// However fast or slow the machine is: the steps' seconds are parts of the program's.
TEST_F(Runs, SecondsOfStepsAddUpToLessThanTheRun) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(run("train c.yaml train.steps=600 checkpoint.every=0 log.tensorboard=false").code, 0);
    const double all = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double sum = 0;
    for (const Json& row : rows_with("seconds")) sum += row["seconds"].get<double>();
    EXPECT_GT(sum, 0);
    EXPECT_LT(sum, all);
}

}  // namespace
}  // namespace sluice
