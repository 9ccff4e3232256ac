// What is read of a run's folder, whole and damaged.
#include "report/run_data.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/folder.h"

namespace sluice {
namespace {

class RunFolder : public testing::Test {
 protected:
    RunData read(const std::string& metrics) {
        write("metrics.jsonl", metrics);
        return read_run(folder_.path());
    }
    void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
    Folder folder_;
};

TEST_F(RunFolder, RowsBecomeSeries) {
    const RunData run = read(
        "{\"run\": {\"version\": \"1\"}}\n"
        "{\"step\": 1, \"loss\": 3.5, \"eval/held/loss\": 4}\n"
        "{\"step\": 2, \"loss\": null, \"probe/layers/0/gate_histogram\": {\"low\": 0, \"width\": 0.05, \"shares\": "
        "[1]}}\n"
        "{\"step\": 3, \"loss\": 3}\n");
    EXPECT_EQ(run.series.at("loss"), (Series{{1, 3.5}, {3, 3}}));
    EXPECT_EQ(*run.last("loss"), 3);
    EXPECT_EQ(*run.last("eval/held/loss"), 4);
    EXPECT_FALSE(run.last("other"));
    EXPECT_EQ(run.latest.at("probe/layers/0/gate_histogram")["shares"][0], 1);
    EXPECT_FALSE(run.series.count("step"));
    EXPECT_TRUE(run.complaints.empty());
}

TEST_F(RunFolder, AStepLoggedTwiceCountsByItsLastLine) {
    const RunData run = read("{\"step\": 1, \"loss\": 9}\n{\"step\": 2, \"loss\": 8}\n{\"step\": 1, \"loss\": 7}\n");
    EXPECT_EQ(run.series.at("loss"), (Series{{1, 7}, {2, 8}}));
}

TEST_F(RunFolder, HalfALineAtTheEndIsBeingWritten) {
    const RunData run = read("{\"step\": 1, \"loss\": 9}\n{\"step\": 2, \"lo");
    EXPECT_EQ(run.series.at("loss").size(), 1u);
    EXPECT_TRUE(run.complaints.empty());
}

TEST_F(RunFolder, LinesThatAreNoRowsAreNamed) {
    const RunData run =
        read("{\"step\": 1, \"loss\": 9}\nnonsense\n[1]\n{\"step\": \"a\"}\n{\"step\": 2, \"loss\": 8}\n");
    EXPECT_EQ(run.series.at("loss").size(), 2u);
    ASSERT_EQ(run.complaints.size(), 1u);
    EXPECT_NE(run.complaints[0].find("metrics.jsonl:2: 3 lines "), std::string::npos) << run.complaints[0];
}

TEST_F(RunFolder, TheMedianIsOfAllRows) {
    EXPECT_EQ(*read("{\"step\":1,\"t\":9}\n{\"step\":2,\"t\":1}\n{\"step\":3,\"t\":2}\n").median("t"), 2);
    EXPECT_EQ(
        *read("{\"step\":1,\"t\":9}\n{\"step\":2,\"t\":1}\n{\"step\":3,\"t\":2}\n{\"step\":4,\"t\":3}\n").median("t"),
        2.5);
    EXPECT_FALSE(read("").median("t"));
}

TEST_F(RunFolder, ADamagedConfigOrInspectionIsNamedAndTheRestRead) {
    write("config.yaml", "model: [");
    write("inspect.json", "{");
    const RunData run = read("{\"step\": 1, \"loss\": 9}\n");
    EXPECT_EQ(run.complaints.size(), 2u);
    EXPECT_FALSE(run.config);
    EXPECT_TRUE(run.inspection.is_null());
    EXPECT_EQ(*run.last("loss"), 9);
}

TEST_F(RunFolder, AnEmptyFolderHasNothing) {
    EXPECT_TRUE(read_run(folder_.path()).series.empty());
    EXPECT_TRUE(read_run(folder_ / "missing").series.empty());
}

}  // namespace
}  // namespace sluice
