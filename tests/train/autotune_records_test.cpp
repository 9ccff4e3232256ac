// Which autotuning choices a rank keeps in a checkpoint, and which it takes from one.
#include "train/autotune_records.h"

#include <gtest/gtest.h>

#include "kernels/autotune.h"

namespace sluice {
namespace {

class Library : public Autotuner {
 public:
    explicit Library(std::string machine) : machine_(std::move(machine)) {}
    const std::string& machine() const override { return machine_; }
    std::set<std::string> export_lines() const override { return lines; }
    void import_lines(const std::set<std::string>& from) override { lines = from; }

    std::set<std::string> lines;

 private:
    std::string machine_;
};

TEST(AutotuneRecords, ARankTakesItsOwnElseThoseOfALikeMachine) {
    const std::vector<AutotuneRecord> saved{{"a", {"left"}, {}},
                                            {"a", {"of 0"}, {0}},
                                            {"a", {"of 1 and 2"}, {1, 2}},
                                            {"b", {"b of 0"}, {0}},
                                            {"c", {"c"}, {1}}};
    for (const auto& [rank, lines] : {std::pair{0, "of 0"}, {2, "of 1 and 2"}, {3, "left"}}) {
        Library a("a"), b("b"), d("d");
        restore_autotune(saved, rank);
        EXPECT_EQ(a.lines, std::set<std::string>{lines}) << rank;
        EXPECT_EQ(b.lines, std::set<std::string>{"b of 0"}) << rank;
        EXPECT_TRUE(d.lines.empty()) << rank;
    }
}

TEST(AutotuneRecords, WhatThisProcessDoesNotHaveIsKeptUntouched) {
    Library a("a");
    a.lines = {"new"};
    const auto records = autotune_records(
        5, {{"a", {"old"}, {5}}, {"cublaslt-77", {"algo 7", "{any: thing}"}, {0, 5}}, {"cublaslt-77", {"algo 8"}, {}}});
    std::vector<AutotuneRecord> others;
    for (const AutotuneRecord& record : records) {
        if (record.machine == "cublaslt-77") {
            others.push_back(record);
            continue;
        }
        EXPECT_EQ(record.ranks, std::set<int64_t>{5}) << record.machine;
        if (record.machine == "a") { EXPECT_EQ(record.lines, std::set<std::string>{"new"}); }
    }
    EXPECT_EQ(records.size(), 4u);  // the CPU's section, too
    ASSERT_EQ(others.size(), 2u);
    EXPECT_EQ(others[0].lines, (std::set<std::string>{"algo 7", "{any: thing}"}));
    EXPECT_EQ(others[1].lines, std::set<std::string>{"algo 8"});
    EXPECT_TRUE(others[0].ranks.empty());
    EXPECT_TRUE(others[1].ranks.empty());
}

}  // namespace
}  // namespace sluice
