// What a run says of steps whose numbers are known.
#include "log/run_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "config/load.h"
#include "log/banner.h"
#include "model/counts.h"
#include "support/folder.h"

namespace sluice {
namespace {

Config config_of(int64_t steps, int64_t log_every) {
    Config config = load_config_text(
                        "{run: {name: a}, model: {layers: 1, hidden: 32, heads: 2, vocab: 97, ffn: {hidden: 48}}, "
                        "data: {sequence_length: 16}, train: {batch: 4}}",
                        "c.yaml", {}, Purpose::plan, 1)
                        .config;
    config.train.steps = steps;
    config.log.every = log_every;
    config.log.tensorboard = false;
    return config;
}

// A run of 64 tokens a step.
class RunLogTest : public testing::Test {
 protected:
    void start(int64_t steps, int64_t log_every, int64_t from = 0, bool speaks = true, double peak = 0) {
        log_.emplace(config_of(steps, log_every), folder_.path(), speaks);
        RunFacts facts;
        facts.device = "an abacus";
        facts.ranks = 2;
        facts.step = from;
        facts.seen = from * 64;
        facts.peak = peak;
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        log_->open(facts);
        log_->begin({}, [peak](int) {
            EXPECT_EQ(peak, 0) << "GEMMs are timed though the peak is known";
            return 1e9;
        });
        step_ = from;
    }
    void step(double seconds, double loss = 5, bool beside_save = false) {
        StepFacts facts{};
        facts.result.loss = facts.result.grad_norm = loss;
        facts.result.applied = std::isfinite(loss);
        facts.progress.step = ++step_;
        facts.tokens = step_ * 64;
        facts.seconds = seconds;
        facts.beside_save = beside_save;
        log_->step(facts);
        log_->keep_row();
    }
    void end() {
        out_ = testing::internal::GetCapturedStdout();
        err_ = testing::internal::GetCapturedStderr();
    }
    std::string text(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(folder_ / name).rdbuf();
        return text.str();
    }
    std::vector<int64_t> rows() const {
        std::vector<int64_t> steps;
        std::istringstream lines(text("metrics.jsonl"));
        for (std::string line; std::getline(lines, line);)
            if (const Json row = parse_json(line); row.contains("step")) steps.push_back(row["step"].get<int64_t>());
        return steps;
    }
    static size_t count(const std::string& text, const std::string& what) {
        size_t n = 0;
        for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at++) n++;
        return n;
    }

    Folder folder_;
    std::optional<RunLog> log_;
    int64_t step_ = 0;
    std::string out_, err_;
};

TEST_F(RunLogTest, ABusyMachineIsToldOnceWithTheRemedy) {
    start(200, 50);
    for (int i = 0; i < 100; i++) step(i % 2 ? 0.4 : 0.05);
    end();
    EXPECT_EQ(count(err_, "warning: steps take from 50ms to 400ms: the cores of this machine are busy"), 1u) << err_;
    for (const char* word : {"2 ranks", "OMP_NUM_THREADS", "OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0"})
        EXPECT_EQ(count(err_, word), 1u) << word;
    EXPECT_EQ(count(text("log.txt"), " warning steps take from 50ms"), 1u);
}

TEST_F(RunLogTest, StepsBesideACheckpointBeingWrittenTellNothing) {
    start(200, 50);
    for (int i = 0; i < 100; i++) step(i % 2 ? 0.4 : 0.05, 5, i % 2);
    end();
    EXPECT_EQ(err_, "");
}

TEST_F(RunLogTest, TheLastLine) {
    start(20, 5, 10);
    for (int i = 0; i < 10; i++) step(0.5, 5 - 0.1 * i);
    log_->evaluation("held", {4.5, 90, {}, 100});
    log_->evaluation("other", {3.5, 33, {}, 100});
    log_->evaluation("held", {4.25, 70, {}, 1});
    log_->done();
    log_->stopped();
    end();
    const std::string came_to = " | 128 tok/s | loss 4.1000 | eval held 4.2500 | eval other 3.5000 | ";
    const std::string tail = came_to + folder_.path().string() + "\n";
    EXPECT_EQ(count(out_, "\ndone: 20 steps, 10 of them in this start | 1.28K tokens | "), 1u) << out_;
    EXPECT_EQ(count(out_, "\nstopped at step 20 of 20 with a checkpoint: start again to go on | 1.28K tokens | "), 1u);
    EXPECT_EQ(count(out_, tail), 2u) << out_;
    EXPECT_EQ(count(out_, "| 1 token\n"), 1u);
}

TEST_F(RunLogTest, WhatIsLoggedHangsOnTheStepAlone) {
    start(22, 5);
    for (int i = 0; i < 13; i++) step(0.1);
    end();
    EXPECT_EQ(rows(), (std::vector<int64_t>{1, 5, 10}));
    EXPECT_EQ(count(out_, "\nstep 1/22 | loss 5.0000 | gn 5.000 | "), 1u) << out_;
    EXPECT_EQ(count(out_, "\nstep "), 3u) << out_;
    start(22, 5, 8);  // goes back: row 10 is set aside
    for (int i = 8; i < 22; i++) step(0.1);
    end();
    EXPECT_EQ(rows(), (std::vector<int64_t>{1, 5, 10, 15, 20, 22}));
    EXPECT_EQ(count(out_, "\nstep "), 5u) << out_;
    EXPECT_EQ(count(out_, "\nstep 9/22 "), 1u) << "the first of this start is said, not kept";
}

TEST(Banner, ThreadsThatShareCores) {
    EXPECT_EQ(crowded(2, 2, 4), "");
    EXPECT_EQ(crowded(8, 1, 4), "") << "MPI yields";
    EXPECT_EQ(crowded(1, 4, 4), "");
    EXPECT_EQ(crowded(1, 5, 4).rfind("1 rank of 5 threads share 4 cores: ", 0), size_t{0}) << crowded(1, 5, 4);
    EXPECT_NE(crowded(2, 4, 4).find("OMP_NUM_THREADS=2,"), std::string::npos);
    EXPECT_NE(crowded(8, 4, 4).find("OMP_NUM_THREADS=1,"), std::string::npos);
}

TEST_F(RunLogTest, ALineIsOfTheStepsSinceTheLastOne) {
    start(30, 10);
    for (int i = 0; i < 30; i++) step(i < 10 ? 0.1 : i < 20 ? 0.2 : 0.4);
    end();
    std::istringstream lines(text("metrics.jsonl"));
    std::vector<double> seconds;
    for (std::string line; std::getline(lines, line);)
        if (const Json row = parse_json(line); row.contains("step"))
            seconds.push_back(std::round(1e6 * row["seconds"].get<double>()) / 1e6);
    EXPECT_EQ(seconds, (std::vector<double>{0.1, 0.1, 0.2, 0.4}));
    EXPECT_EQ(count(out_, "step 20/30 | loss 5.0000 | gn 5.000 | lr 0.00e+00 | 320 tok/s | "), 1u) << out_;
    EXPECT_EQ(count(out_, " | 200ms | eta 2.00s\n"), 1u) << out_;
}

TEST_F(RunLogTest, MfuNeverPasses1AndIsOfTheRateBesideIt) {
    start(4, 1);
    for (const double seconds : {1e-9, 1e-3, 1e-12, 10.0}) step(seconds);  // faster than any products were timed
    end();
    std::istringstream lines(text("metrics.jsonl"));
    double flops = 0, before = 0;
    for (std::string line; std::getline(lines, line);) {
        const Json row = parse_json(line);
        if (!row.contains("step")) continue;
        const double gemm = row["gemm_flops_per_second"], mfu = row["mfu"], rate = row["tokens_per_second"];
        EXPECT_LE(mfu, 1);
        EXPECT_GE(gemm, before);
        EXPECT_NEAR(rate * row["seconds"].get<double>(), 64, 1e-9);
        const double a_token = mfu * gemm / rate;
        EXPECT_NEAR(a_token, flops > 0 ? flops : a_token, 1e-9 * a_token);
        flops = a_token;
        before = gemm;
    }
    EXPECT_GT(flops, 1000);
}

TEST_F(RunLogTest, MfuIsOfAPeakThatIsKnown) {
    start(4, 1, 0, true, 1e9);
    for (int i = 0; i < 4; i++) step(0.1);
    end();
    EXPECT_NE(out_.find("mfu is the share of the data sheet's peak: 2.00GFLOP/s in "), out_.npos) << out_;
    EXPECT_EQ(out_.find("of gemm"), out_.npos) << out_;
    std::istringstream lines(text("metrics.jsonl"));
    int rows = 0;
    for (std::string line; std::getline(lines, line);) {
        const Json row = parse_json(line);
        if (!row.contains("step")) continue;
        rows++;
        EXPECT_EQ(row["peak_flops_per_second"], 2e9);
        EXPECT_FALSE(row.contains("gemm_flops_per_second"));
        const double flops = flops_per_token(config_of(4, 1).model, 16);
        EXPECT_NEAR(row["mfu"].get<double>(), flops * 640 / 2e9, 1e-12);
    }
    EXPECT_EQ(rows, 4);
}

TEST_F(RunLogTest, StepsThatAreNotFinite) {
    start(30, 10);
    step(0.1);
    step(0.1, -NAN);
    step(0.1, INFINITY);
    end();
    EXPECT_EQ(rows(), (std::vector<int64_t>{1, 2, 3}));
    EXPECT_EQ(count(out_, "step 2/30 | loss nan | gn nan | "), 1u) << out_;
    EXPECT_EQ(count(err_, "step 2: loss nan, gradient norm nan is not finite"), 1u) << err_;
    EXPECT_EQ(count(err_, "step 3: loss inf, gradient norm inf is not finite"), 1u) << err_;
}

TEST_F(RunLogTest, OtherRanksSayAndKeepNothing) {
    start(2, 1, 0, false);
    step(0.1);
    step(0.1, NAN);
    log_->done();
    end();
    EXPECT_EQ(out_ + err_, "");
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace sluice
