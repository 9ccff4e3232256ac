// The rows that led to a checkpoint are found wherever they lie.
#include "checkpoint/branch_metrics.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/set_aside.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

class BranchMetrics : public testing::Test {
 protected:
    // Rows of these steps, told from others by their mark.
    static std::string rows(const std::string& mark, int64_t first, int64_t last) {
        std::string text;
        for (int64_t step = first; step <= last; step++)
            text += "{\"step\": " + std::to_string(step) + ", \"of\": \"" + mark + "\"}\n";
        return text;
    }
    static std::string text(const fs::path& path) { return read_file(path, 1, 1 << 20, Links::follow); }
    static void put(const fs::path& path, const std::string& text) {
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::trunc) << text;
    }
    // A step of a branch that began at another step folder.
    void step(const fs::path& folder, int64_t step, const fs::path& start = {}) {
        State state(float(step) + float(folder.string().size()));
        save(folder, state, step);
        if (start.empty()) return;
        const Json began = parse_json(text(start / "manifest.json"));
        const fs::path manifest = folder / step_name(step) / "manifest.json";
        Json json = parse_json(text(manifest));
        json["branch"] = {{"path", start.string()}, {"digest", began["digest"]}, {"step", began["step"]}};
        put(manifest, json.dump());
    }
    const Folder folder_;
    const fs::path run_ = folder_ / "run", checkpoints_ = run_ / "checkpoints",
                   aside_ = run_ / "checkpoints_set_aside_1", second_ = run_ / "checkpoints_set_aside_2";
    const std::string start_ = "{\"run\": {}}\n";
};

TEST_F(BranchMetrics, BesideTheStepOrAboveIt) {
    step(aside_, 6);
    step(checkpoints_, 6);
    EXPECT_EQ(branch_metrics(aside_ / step_name(6), 6), "");
    put(run_ / "metrics.jsonl", start_ + rows("b", 1, 6) + start_ + rows("b", 7, 9) + start_);
    EXPECT_EQ(branch_metrics(aside_ / step_name(6), 6), "") << "those are another branch's";
    put(aside_ / "metrics.jsonl", start_ + rows("a", 1, 9) + "{\"step\": 10, \"o");
    EXPECT_EQ(branch_metrics(aside_ / step_name(6), 6), start_ + rows("a", 1, 6));
    EXPECT_EQ(branch_metrics(aside_ / step_name(6), 12), start_ + rows("a", 1, 9));
    EXPECT_EQ(branch_metrics(checkpoints_ / step_name(6), 6), start_ + rows("b", 1, 6));
    fs::create_symlink(aside_ / step_name(6), folder_ / "link");
    EXPECT_EQ(branch_metrics(folder_ / "link", 6), start_ + rows("a", 1, 6));
    fs::rename(checkpoints_, folder_ / "store");
    fs::create_symlink("../store", checkpoints_);
    EXPECT_EQ(branch_metrics(checkpoints_ / step_name(6), 6), start_ + rows("b", 1, 6));
}

// As runs left it whose rows did not come along.
TEST_F(BranchMetrics, OfAncestorsInOtherFolders) {
    step(aside_, 4);
    put(aside_ / "metrics.jsonl", start_ + rows("a", 1, 9));
    step(second_, 8, aside_ / step_name(4));
    put(second_ / "metrics.jsonl", start_ + rows("b", 5, 9));
    step(checkpoints_, 12, second_ / step_name(8));
    put(run_ / "metrics.jsonl", rows("c", 9, 12));
    const std::string all = start_ + rows("a", 1, 4) + start_ + rows("b", 5, 8) + rows("c", 9, 12);
    EXPECT_EQ(branch_metrics(checkpoints_ / step_name(12), 12), all);
    fs::remove(second_ / "metrics.jsonl");
    EXPECT_EQ(branch_metrics(checkpoints_ / step_name(12), 12), start_ + rows("a", 1, 4) + rows("c", 9, 12));
}

TEST_F(BranchMetrics, OfAnAncestorThatALinkStandsFor) {
    step(aside_, 4);
    put(aside_ / "metrics.jsonl", rows("a", 1, 4));
    step(second_, 8, aside_ / step_name(4));
    put(second_ / "metrics.jsonl", rows("b", 5, 8));
    const fs::path manifest = second_ / step_name(8) / "manifest.json";
    Json json = parse_json(text(manifest));
    json["branch"]["path"] = "from/another/folder";
    put(manifest, json.dump());
    EXPECT_EQ(branch_metrics(second_ / step_name(8), 8), rows("b", 5, 8));
    fs::create_symlink("../checkpoints_set_aside_1/" + step_name(4), second_ / step_name(4));
    EXPECT_EQ(branch_metrics(second_ / step_name(8), 8), rows("a", 1, 4) + rows("b", 5, 8));
    json["branch"]["digest"] = "another";
    put(manifest, json.dump());
    EXPECT_EQ(branch_metrics(second_ / step_name(8), 8), rows("b", 5, 8)) << "another step of that number";
}

TEST_F(BranchMetrics, AdoptedWithTheStepAndAfterACrash) {
    step(checkpoints_, 6);
    step(aside_, 6);
    put(aside_ / "metrics.jsonl", start_ + rows("a", 1, 9));
    const std::string mine = start_ + rows("b", 1, 6);
    put(run_ / "metrics.jsonl", mine);
    fs::copy(run_, folder_ / "crashed", fs::copy_options::recursive);
    go_back(checkpoints_, {-1, aside_ / step_name(6), 6});
    EXPECT_EQ(text(run_ / "metrics.jsonl"), start_ + rows("a", 1, 6));
    EXPECT_EQ(text(second_ / "metrics.jsonl"), mine);

    // The plan has the rows: where they came from may be gone by then.
    const fs::path run = folder_ / "crashed", second = run / second_.filename();
    const Json plan{
        {"adopt", (aside_ / step_name(6)).string()}, {"adopt_step", 6}, {"metrics", start_ + rows("a", 1, 6)}};
    for (int i = 0; i < 2; i++) {  // the second time all but the last of it was done
        put(second / "unfinished.json", plan.dump());
        std::vector<std::string> warnings;
        recover(run / "checkpoints", warnings);
        EXPECT_EQ(warnings.size(), 1u);
        EXPECT_EQ(text(run / "metrics.jsonl"), start_ + rows("a", 1, 6));
        EXPECT_EQ(text(second / "metrics.jsonl"), mine);
    }
}

// What go_back() writes down is what recover() goes by.
TEST_F(BranchMetrics, ThePlanTellsTheRows) {
    step(checkpoints_, 6);
    step(aside_, 6);
    put(aside_ / "metrics.jsonl", rows("a", 1, 9));
    put(run_ / "metrics.jsonl", rows("b", 1, 6));
    fs::remove(checkpoints_ / "LATEST");
    fs::create_directory(checkpoints_ / "LATEST");  // stands in the way at the very end
    put(checkpoints_ / "LATEST/x", "");
    EXPECT_NE(error_of([&] { go_back(checkpoints_, {-1, aside_ / step_name(6), 6}); }, Exit::disk), "");
    put(run_ / "metrics.jsonl", rows("b", 1, 6));
    fs::remove(aside_ / "metrics.jsonl");
    fs::remove_all(checkpoints_ / "LATEST");
    std::vector<std::string> warnings;
    recover(checkpoints_, warnings);
    EXPECT_EQ(text(run_ / "metrics.jsonl"), rows("a", 1, 6));
    EXPECT_EQ(text(second_ / "metrics.jsonl"), rows("b", 1, 6));
}

TEST_F(BranchMetrics, BeginARunOfItsOwn) {
    step(aside_, 6);
    put(aside_ / "metrics.jsonl", start_ + rows("a", 1, 9));
    const fs::path other = folder_ / "other";
    put(other / "metrics.jsonl", rows("x", 1, 3));
    for (int i = 0; i < 2; i++) {
        begin_metrics(other, aside_ / step_name(6), 6);
        EXPECT_EQ(text(other / "metrics.jsonl"), start_ + rows("a", 1, 6));
        EXPECT_EQ(text(other / "metrics.abandoned.jsonl"), rows("x", 1, 3));
    }
    put(other / "metrics.jsonl", start_ + rows("a", 1, 6) + start_ + rows("y", 7, 8));
    begin_metrics(other, aside_ / step_name(6), 6);
    EXPECT_EQ(text(other / "metrics.jsonl"), start_ + rows("a", 1, 6) + start_ + rows("y", 7, 8));
    fs::remove(aside_ / "metrics.jsonl");
    begin_metrics(other, aside_ / step_name(6), 6);
    EXPECT_EQ(text(other / "metrics.abandoned.jsonl"), rows("x", 1, 3)) << "no rows to begin with";
}

}  // namespace
}  // namespace sluice
