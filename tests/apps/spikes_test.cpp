// Runs with a guard: batches that are refused, going back before them, and the same bits after any stop.
#include "apps/run_folder.h"

namespace sluice {
namespace {

// Text that counts to seven, but for one sample of noise, in an epoch of 100 steps.
class Spikes : public RunFolder {
 protected:
    void SetUp() override {
        RunFolder::SetUp();
        std::vector<int32_t> tokens(16 * 400 + 1);
        for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t(i / 16 == 100 ? i * i * (i + 31) % 97 : i % 7);
        write_shard(folder_ / "train.bin", tokens, 97);
    }
    // A course that does not hang on its length.
    static std::string train(const std::string& name, const std::string& more) {
        return "train c.yaml run.name=" + name +
               " train.steps=90 schedule.kind=constant checkpoint.every=10 spikes.window=16 "
               "checkpoint.allow_change=true " +
               more + " ";
    }
    static constexpr const char* kSkip = "spikes.action=skip";
    static constexpr const char* kRewind = "spikes.action=rewind spikes.most=1";

    // The lines without their times.
    std::vector<Json> spikes(const std::string& name, const std::string& file = "spikes.jsonl") {
        std::vector<Json> rows;
        std::istringstream lines(text("runs/" + name + "/" + file));
        for (std::string line; std::getline(lines, line);) {
            rows.push_back(parse_json(line));
            EXPECT_EQ(rows.back().erase("time"), 1u) << line;
        }
        return rows;
    }
    Json manifest(const std::string& name, int64_t n) {
        return parse_json(text(step(n, name).lexically_relative(folder_.path()) / "manifest.json"));
    }
    static size_t count(const std::string& text, const std::string& what) {
        size_t n = 0;
        for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at++) n++;
        return n;
    }
};

TEST_F(Spikes, ABadBatchIsSkippedAndWrittenDown) {
    const Ended off = run(train("off", "")), on = run(train("on", kSkip));
    ASSERT_EQ(on.code, 0) << on.err;
    const auto lines = spikes("on");
    ASSERT_EQ(lines.size(), 1u) << text("runs/on/spikes.jsonl");
    const Json& line = lines[0];
    const int64_t bad = line["step"].get<int64_t>();
    EXPECT_EQ(line["first_sample"], 4 * (bad - 1));
    EXPECT_EQ(line["samples"], 4);
    EXPECT_GT(line["loss"], 0.1);
    EXPECT_LT(line["loss_median"], 0.01);
    for (const char* key : {"loss_mad", "grad_norm", "grad_norm_median", "grad_norm_mad"})
        EXPECT_GT(line[key], 0) << key;
    EXPECT_TRUE(has(on.err, "step " + std::to_string(bad) + ": loss 0.")) << on.err;
    EXPECT_TRUE(has(on.err, "is a spike: no rank applied it (1 in a row, 1 in all)")) << on.err;
    EXPECT_TRUE(has(on.out, " | 1 spike")) << on.out;

    const auto before = course("off"), after = course("on");
    EXPECT_TRUE(std::equal(before.begin(), before.begin() + bad, after.begin()))
        << "a guard that waits changes nothing";
    EXPECT_NE(before[size_t(bad)], after[size_t(bad)]);
    for (const Json& row : rows_with("spikes", "on")) {
        EXPECT_EQ(row["spikes"], row["step"] >= bad ? 1 : 0);
        EXPECT_EQ(row["skipped"], 0) << "counts what is not finite";
    }
    EXPECT_EQ(rows_with("spikes", "on").size(), 90u);
    EXPECT_TRUE(rows_with("spikes", "off").empty());
    EXPECT_FALSE(fs::exists(folder_ / "runs/off/spikes.jsonl"));
    EXPECT_FALSE(manifest("off", 90).contains("spikes"));
    EXPECT_EQ(manifest("on", 90)["spikes"]["refused"], 1);
}

TEST_F(Spikes, StoppedAnywhereARunHasTheSameBits) {
    for (const char* action : {kSkip, kRewind}) {
        const std::string whole = std::string("whole") + action[14];
        ASSERT_EQ(run(train(whole, action)).code, 0);
        const int64_t bad = spikes(whole)[0]["step"].get<int64_t>();
        for (const int64_t stop : {bad - 19, bad - 1, bad, int64_t{75}}) {
            const std::string name = whole + std::to_string(stop);
            ASSERT_EQ(run(train(name, action + (" train.steps=" + std::to_string(stop)))).code, 0);
            ASSERT_EQ(run(train(name, action)).code, 0);
            EXPECT_EQ(digest(name, 90), digest(whole, 90)) << action << ", stopped at " << stop;
            EXPECT_EQ(spikes(name), spikes(whole)) << action << ", stopped at " << stop;
            EXPECT_EQ(course(name), course(whole)) << action << ", stopped at " << stop;
        }
    }
}

TEST_F(Spikes, ARewindGoesOnWithTheDataBehindTheSpike) {
    const Ended back = run(train("back", kRewind));
    ASSERT_EQ(back.code, 0) << back.err;
    const auto lines = spikes("back");
    ASSERT_EQ(lines.size(), 2u);
    const int64_t bad = lines[0]["step"].get<int64_t>(), to = (bad - 16) / 10 * 10;
    EXPECT_EQ(lines[1], (Json{{"step", bad}, {"first_sample", 4 * bad}, {"back_to", to}}));
    EXPECT_TRUE(has(back.err, "step " + std::to_string(bad) + ": the run goes back to step " + std::to_string(to) +
                                  ", and goes on with sample " + std::to_string(4 * bad)))
        << back.err;
    // The same by hand: a run without a guard, whose checkpoint is told to go on with that sample.
    ASSERT_EQ(run(train("hand", "train.steps=" + std::to_string(to))).code, 0);
    Json edited = manifest("hand", to);
    edited["data"]["samples"] = 4 * bad;
    std::ofstream(step(to, "hand") / "manifest.json") << edited.dump();
    ASSERT_EQ(run(train("hand", "")).code, 0);
    EXPECT_EQ(digest("hand", 90), digest("back", 90));
    EXPECT_EQ(course("hand"), course("back"));

    Json last = manifest("back", 90);
    EXPECT_EQ(last["data"]["passed_over"], 4 * (bad - to));
    EXPECT_EQ(last["data"]["samples"], 4 * (90 + bad - to));
    EXPECT_EQ(last["tokens"], 90 * 64);
    std::vector<int64_t> steps;
    for (const Json& row : rows_with("loss", "back")) {
        steps.push_back(row["step"].get<int64_t>());
        EXPECT_EQ(row["tokens"], 64 * row["step"].get<int64_t>());
        EXPECT_EQ(row["spikes"], row["step"] > to ? 1 : 0);
    }
    ASSERT_EQ(steps.size(), 90u) << "one row a step";
    EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
    const std::string aside = "runs/back/checkpoints_set_aside_1";
    EXPECT_TRUE(has(text(aside + "/metrics.jsonl"), "{\"step\": " + std::to_string(bad) + ", ")) << "what it left";
    EXPECT_EQ(names(folder_ / aside).size(), size_t((bad - 1) / 10 - to / 10 + 1));
    EXPECT_FALSE(fs::exists(folder_ / "runs/back/checkpoints_set_aside_2"));

    // A crash before the next checkpoint: it goes the same way again.
    for (int64_t n = to + 10; n <= 90; n += 10) fs::remove_all(step(n, "back"));
    const auto first = spikes("back");
    ASSERT_EQ(run(train("back", kRewind)).code, 0);
    EXPECT_EQ(digest("back", 90), digest("hand", 90));
    EXPECT_EQ(spikes("back"), first);
    EXPECT_EQ(spikes("back", "spikes.abandoned.jsonl"), first);
}

TEST_F(Spikes, CheckpointsToGoBackToAreKept) {
    ASSERT_EQ(run(train("all", kRewind)).code, 0);
    ASSERT_EQ(run(train("few", std::string(kRewind) + " checkpoint.keep=1")).code, 0);
    EXPECT_EQ(digest("few", 90), digest("all", 90));
    EXPECT_EQ(names(checkpoints("few")),
              (std::vector<std::string>{"LATEST", "step-00000070", "step-00000080", "step-00000090"}));
    ASSERT_EQ(run(train("skips", std::string(kSkip) + " checkpoint.keep=1")).code, 0);
    EXPECT_EQ(names(checkpoints("skips")), (std::vector<std::string>{"LATEST", "step-00000090"}));
}

TEST_F(Spikes, WithoutACheckpointToGoBackToARewindSkips) {
    ASSERT_EQ(run(train("skip", kSkip)).code, 0);
    const Ended none = run(train("none", std::string(kRewind) + " checkpoint.every=0"));
    EXPECT_EQ(none.code, 0);
    EXPECT_TRUE(has(none.err, "rewind without checkpoint.every")) << none.err;
    EXPECT_EQ(digest("none", 90), digest("skip", 90));
    // All that are old enough are damaged.
    ASSERT_EQ(run(train("damaged", std::string(kRewind) + " train.steps=60")).code, 0);
    for (int64_t n = 10; n <= 50; n += 10) std::ofstream(step(n, "damaged") / "rank-00000.safetensors") << "x";
    const Ended damaged = run(train("damaged", kRewind));
    EXPECT_EQ(damaged.code, 0) << damaged.err;
    EXPECT_TRUE(has(damaged.err, "skipped runs/damaged/checkpoints/step-00000040")) << damaged.err;
    EXPECT_EQ(digest("damaged", 90), digest("skip", 90));
}

TEST_F(Spikes, RanksAgree) {
    for (const char* action : {kSkip, kRewind}) {
        const std::string one = std::string("one") + action[14], two = std::string("two") + action[14];
        ASSERT_EQ(run(train(one, action)).code, 0);
        const Ended ended = run(train(two, std::string(action) + " parallel.zero=1"), 2);
        ASSERT_EQ(ended.code, 0) << ended.err;
        const auto a = spikes(one), b = spikes(two);
        ASSERT_EQ(a.size(), b.size());
        for (size_t i = 0; i < a.size(); i++) {
            EXPECT_EQ(a[i]["step"], b[i]["step"]);
            EXPECT_EQ(a[i]["first_sample"], b[i]["first_sample"]);
        }
        EXPECT_EQ(manifest(two, 90)["data"]["samples"], manifest(one, 90)["data"]["samples"]);
        EXPECT_EQ(rows_with("loss", two).size(), 90u);
    }
}

// Whatever the steps are like, a run comes to its end.
TEST_F(Spikes, ARunGoesBackThreeTimesAndThenOn) {
    const Ended wild = run(train("wild",
                                 "spikes.action=rewind spikes.most=1 spikes.threshold=1e-3 train.steps=60 "
                                 "optimizer.lr=0.4 optimizer.grad_clip=0"));
    EXPECT_EQ(wild.code, 0) << wild.err;
    EXPECT_GE(count(wild.err, "the run goes back to step "), 3u);
    EXPECT_EQ(newest_step("wild"), 60);
    // Not finite, from a checkpoint on: it goes back three times, and ends as ever.
    ASSERT_EQ(run(train("lost", "train.steps=20")).code, 0);
    const Ended lost = run(train("lost", "spikes.action=rewind spikes.window=4 optimizer.lr=1e30"));
    EXPECT_EQ(lost.code, 6) << lost.err;
    EXPECT_EQ(count(lost.err, "the run goes back to step 20"), 3u) << lost.err;
    EXPECT_TRUE(has(lost.err, "10 steps in a row were not finite")) << lost.err;
    EXPECT_EQ(spikes("lost").back()["first_sample"], 4 * 20 + 3 * 4 * 6 + 4 * 10);
    EXPECT_TRUE(spikes("lost").back()["grad_norm"].is_null());
}

TEST_F(Spikes, AGuardIsPartOfTheCourse) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    const Ended refused = run("train c.yaml spikes.action=skip");
    EXPECT_EQ(refused.code, 4);
    EXPECT_TRUE(has(refused.err, "spikes.action: none -> skip")) << refused.err;
    const Ended bad = run("train c.yaml spikes.action=jump spikes.windw=3 spikes.threshold=0");
    EXPECT_EQ(bad.code, 2);
    for (const char* part : {"spikes.action", "skip", "did you mean 'window'", "spikes.threshold"})
        EXPECT_TRUE(has(bad.err, part)) << bad.err;
}

}  // namespace
}  // namespace sluice
