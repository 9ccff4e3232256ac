// Going back to an older step: what lies beyond is set aside whole, whenever a crash comes.
#include "checkpoint/set_aside.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "checkpoint/resume.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

// A run's folder with steps 10, 20, ..., 50 and metrics of each ten.
class GoesBack : public testing::Test {
 protected:
    void SetUp() override { fill(run_); }
    void fill(const fs::path& run) {
        State state(1);
        for (int64_t step : {10, 20, 30, 40, 50}) save(run / "checkpoints", state, step);
        std::ofstream metrics(run / "metrics.jsonl");
        metrics << "{\"run\": {}}\n";
        for (int step : {10, 20, 30, 40, 50}) metrics << "{\"step\": " << step << "}\n";
    }
    static std::vector<int64_t> steps(const fs::path& folder) {
        std::vector<int64_t> steps;
        for (const auto& step : list_checkpoints(folder)) steps.push_back(open_checkpoint(step).info.step);
        return steps;
    }
    static std::string text(const fs::path& path) { return read_file(path, 1, 1 << 20, Links::follow); }
    const Folder folder_;
    const fs::path run_ = folder_ / "run", checkpoints_ = run_ / "checkpoints",
                   aside_ = run_ / "checkpoints_set_aside_1";
    const std::string metrics_ = "{\"run\": {}}\n{\"step\": 10}\n{\"step\": 20}\n";
};

TEST_F(GoesBack, MovesWhatLiesBeyond) {
    const std::string all = text(run_ / "metrics.jsonl");
    EXPECT_EQ(go_back(checkpoints_, {20, {}, 0}), fs::canonical(run_) / aside_.filename());
    EXPECT_EQ(steps(checkpoints_), (std::vector<int64_t>{20, 10}));
    EXPECT_EQ(steps(aside_), (std::vector<int64_t>{50, 40, 30}));
    EXPECT_EQ(text(run_ / "metrics.jsonl"), metrics_);
    EXPECT_EQ(text(aside_ / "metrics.jsonl"), all);
    EXPECT_EQ(text(checkpoints_ / "LATEST"), "step-00000020\n");
    EXPECT_FALSE(fs::exists(aside_ / "unfinished.json"));
    EXPECT_EQ(go_back(checkpoints_, {10, {}, 0}), fs::canonical(run_) / "checkpoints_set_aside_2")
        << "the first is not touched";
    EXPECT_EQ(steps(run_ / "checkpoints_set_aside_2"), std::vector<int64_t>{20});
    EXPECT_EQ(steps(aside_), (std::vector<int64_t>{50, 40, 30}));
}

TEST_F(GoesBack, DamagedStepsMoveToo) {
    fs::remove(checkpoints_ / step_name(40) / "manifest.json");
    go_back(checkpoints_, {20, {}, 0});
    EXPECT_EQ(steps(checkpoints_), (std::vector<int64_t>{20, 10}));
    EXPECT_TRUE(fs::exists(aside_ / step_name(40) / "rank-00000.safetensors"));
}

TEST_F(GoesBack, ToAStepFromElsewhere) {
    const fs::path other = folder_ / "other", mine = folder_ / "mine";
    State state(7), loaded(0);
    save(other, state, 30);
    fs::rename(other / step_name(30), mine);  // whatever it is called
    go_back(checkpoints_, {-1, mine, 30});
    EXPECT_EQ(steps(checkpoints_), std::vector<int64_t>{30});
    load_checkpoint(open_checkpoint(checkpoints_ / step_name(30)), loaded.list(), false);
    EXPECT_TRUE(loaded == state);
    EXPECT_EQ(steps(aside_), (std::vector<int64_t>{50, 40, 30, 20, 10}));
    EXPECT_EQ(text(run_ / "metrics.jsonl"), "{\"run\": {}}\n");
    // And back to the branch that was left; the link outlives a move of the run.
    go_back(checkpoints_, {-1, aside_ / step_name(50), 50});
    fs::rename(run_, folder_ / "moved");
    EXPECT_EQ(steps(folder_ / "moved" / "checkpoints"), std::vector<int64_t>{50});
}

TEST_F(GoesBack, BesideTheRealFolderAndWithItsLinks) {
    fs::rename(checkpoints_, folder_ / "store");
    fs::create_symlink("../store", checkpoints_);
    fs::create_directories(folder_ / "blobs");
    for (const char* name : {"manifest.json", "rank-00000.safetensors"}) {
        fs::rename(checkpoints_ / step_name(50) / name, folder_ / "blobs" / name);
        fs::create_symlink("../../blobs/" + std::string(name), checkpoints_ / step_name(50) / name);
    }
    fs::rename(folder_ / "store" / step_name(40), folder_ / "blobs" / step_name(40));
    fs::create_symlink("../blobs/" + step_name(40), checkpoints_ / step_name(40));
    EXPECT_EQ(go_back(checkpoints_, {20, {}, 0}), fs::canonical(folder_.path()) / "store_set_aside_1");
    EXPECT_EQ(steps(folder_ / "store_set_aside_1"), (std::vector<int64_t>{50, 40, 30}));
}

// Every state that a crash can leave, put together by hand.
TEST_F(GoesBack, IsFinishedAfterACrash) {
    for (int moved = 0; moved <= 3; moved++)
        for (const bool copied : {false, true}) {
            if (copied && moved < 3) continue;
            SCOPED_TRACE(moved);
            const fs::path run = folder_ / ("crashed" + std::to_string(moved) + (copied ? "copied" : ""));
            const fs::path aside = run / "checkpoints_set_aside_1";
            fill(run);
            const std::string all = text(run / "metrics.jsonl");
            fs::create_directories(aside);
            write_file(aside / "unfinished.json", "{\"to\": 20}");
            for (int i = 0; i < moved; i++)
                fs::rename(run / "checkpoints" / step_name(50 - 10 * i), aside / step_name(50 - 10 * i));
            if (copied) {
                write_file(aside / "metrics.jsonl", all);
                write_file(run / "metrics.jsonl", metrics_);
            }
            std::vector<std::string> warnings;
            recover(run / "checkpoints", warnings);
            ASSERT_EQ(warnings.size(), 1u);
            EXPECT_NE(warnings[0].find("checkpoints_set_aside_1"), std::string::npos);
            EXPECT_EQ(steps(run / "checkpoints"), (std::vector<int64_t>{20, 10}));
            EXPECT_EQ(steps(aside), (std::vector<int64_t>{50, 40, 30}));
            EXPECT_EQ(text(run / "metrics.jsonl"), metrics_);
            EXPECT_EQ(text(aside / "metrics.jsonl"), all);
            warnings.clear();
            recover(run / "checkpoints", warnings);
            EXPECT_TRUE(warnings.empty());
        }
}

TEST_F(GoesBack, ToElsewhereIsFinishedAfterACrash) {
    State state(7);
    save(folder_ / "other", state, 30);
    const fs::path from = fs::canonical(folder_ / "other" / step_name(30));
    fs::create_directories(aside_);
    write_file(aside_ / "unfinished.json", Json{{"adopt", from.string()}, {"adopt_step", 30}}.dump());
    for (int64_t step : {10, 20, 30, 40, 50}) fs::rename(checkpoints_ / step_name(step), aside_ / step_name(step));
    fs::create_symlink(from, checkpoints_ / step_name(30));  // all but the last of it was done
    std::vector<std::string> warnings;
    recover(checkpoints_, warnings);
    EXPECT_EQ(steps(checkpoints_), std::vector<int64_t>{30});
    EXPECT_EQ(steps(aside_), (std::vector<int64_t>{50, 40, 30, 20, 10}));
}

// What rank 0 tells the others is what they open.
TEST_F(GoesBack, OtherRanksOpenWhatRankZeroFound) {
    Origin origin;
    EXPECT_FALSE(origin_at(origin_text(origin)).checkpoint.has_value());
    origin.checkpoint = open_checkpoint(checkpoints_ / step_name(20));
    origin.weights_only = true;
    const std::string told = origin_text(origin);
    const Origin there = origin_at(told);
    EXPECT_EQ(there.checkpoint->info.step, 20);
    EXPECT_TRUE(there.weights_only);
    State other(5);
    save(folder_ / "other", other, 20);
    fs::remove_all(checkpoints_ / step_name(20));
    fs::rename(folder_ / "other" / step_name(20), checkpoints_ / step_name(20));
    EXPECT_NE(error_of([&] { origin_at(told); }).find("is not the one that rank 0 found"), std::string::npos);
    fs::remove_all(checkpoints_ / step_name(20));
    EXPECT_NE(error_of([&] { origin_at(told); }).find("no such checkpoint"), std::string::npos);
}

TEST_F(GoesBack, KilledAtAnyMomentNothingIsLost) {
    for (int i = 0; i < 15; i++) {
        const fs::path run = folder_ / ("killed" + std::to_string(i)), checkpoints = run / "checkpoints";
        fill(run);
        const pid_t child = fork();
        if (child == 0) {
            go_back(checkpoints, {20, {}, 0});
            _exit(0);
        }
        usleep(useconds_t(119 * i));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        std::vector<std::string> warnings;
        recover(checkpoints, warnings);
        auto all = steps(checkpoints);
        EXPECT_TRUE(all.size() == 5 || all.size() == 2) << "half of it";
        const fs::path aside = run / "checkpoints_set_aside_1";
        if (fs::exists(aside)) {
            const auto moved = steps(aside);
            all.insert(all.end(), moved.begin(), moved.end());
        }
        std::sort(all.begin(), all.end());
        EXPECT_EQ(all, (std::vector<int64_t>{10, 20, 30, 40, 50}));
    }
}

}  // namespace
}  // namespace sluice
