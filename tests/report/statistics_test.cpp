// Means and intervals, against Student's t in closed form.
#include "report/statistics.h"

#include "report/studies.h"

namespace sluice {
namespace {

TEST(Statistics, IntervalsAreStudents) {
    const auto three = interval_of({1, 2, 3});
    ASSERT_TRUE(three && three->low);
    EXPECT_DOUBLE_EQ(three->mean, 2);
    EXPECT_NEAR(*three->high - 2, 0.95 / std::sqrt(0.04875) / std::sqrt(3.0), 1e-12);  // t(0.975, 2)
    EXPECT_NEAR(2 - *three->low, 0.95 / std::sqrt(0.04875) / std::sqrt(3.0), 1e-12);
    const auto two = interval_of({1, 2});
    EXPECT_NEAR(*two->high - 1.5, std::tan(0.475 * M_PI) * 0.5, 1e-12);  // t(0.975, 1)
    EXPECT_TRUE(two->crosses(0));
    EXPECT_FALSE(three->crosses(10));
}

TEST(Statistics, OneNumberHasNoIntervalAndNoneNoMean) {
    EXPECT_FALSE(interval_of({7})->low);
    EXPECT_FALSE(interval_of({7})->crosses(7));
    EXPECT_FALSE(interval_of({}));
}

TEST(Statistics, DifferencesAreOfTheSameSeeds) {
    // Seeds differ by 1, variants by 0.1: only pairs tell.
    const Study study =
        study_of({{"base", 1, 3}, {"base", 2, 4}, {"base", 3, 5}, {"gate", 3, 4.9}, {"gate", 1, 2.9}, {"gate", 4, 1}});
    const auto groups = study.groups();
    ASSERT_EQ(groups.size(), 2u);
    const auto difference = difference_of(groups[1], groups[0], last_of("loss"));
    EXPECT_EQ(difference->n, 2);
    EXPECT_NEAR(difference->mean, -0.1, 1e-12);
    EXPECT_NEAR(*difference->high - *difference->low, 0, 1e-9);
}

TEST(Statistics, OnlyDonePointsCount) {
    const Study study = study_of({{"base", 1, 3},
                                  {"base", 2, 100, {}, 1, PointState::diverged},
                                  {"gate", 1, 2},
                                  {"gate", 2, 2},
                                  {"gate", 3, 9, {}, 1, PointState::partial}});
    const auto groups = study.groups();
    EXPECT_DOUBLE_EQ(mean_of(groups[0], last_of("loss"))->mean, 3);
    EXPECT_EQ(mean_of(groups[1], last_of("loss"))->n, 2);
    EXPECT_EQ(difference_of(groups[1], groups[0], last_of("loss"))->n, 1);
}

TEST(Statistics, TrainingIsComparedOnTheLastQuarterOfCommonSteps) {
    Study study = study_of({{"base"}, {"gate"}});
    Series &base = study.points[0].run.series["loss"], &gate = study.points[1].run.series["loss"];
    base.clear();
    gate.clear();
    for (int step = 1; step <= 8; step++) base.emplace_back(step, 10 - step);
    for (int step = 2; step <= 9; step++) gate.emplace_back(step, 10 - step - (step >= 7 ? 0.5 : 100));
    const auto groups = study.groups();
    // Steps 2 to 8 are common; the last quarter of seven is two.
    EXPECT_NEAR(training_difference(groups[1], groups[0])->mean, -0.5, 1e-12);
    gate = {{100, 1}};
    const auto others = study.groups();
    EXPECT_FALSE(training_difference(others[1], others[0]));
}

TEST(Statistics, PerplexityIsTheMeanOfAllSets) {
    Study study = study_of({{"base"}});
    study.evals = {"eval/a/loss", "eval/b/loss"};
    study.points[0].run.series["eval/a/perplexity"] = {{1, 10}};
    EXPECT_FALSE(mean_over_sets(study, "perplexity")(study.points[0]));  // of one set alone it says nothing
    study.points[0].run.series["eval/b/perplexity"] = {{1, 30}};
    EXPECT_DOUBLE_EQ(*mean_over_sets(study, "perplexity")(study.points[0]), 20);
}

TEST(Statistics, TheBaselineIsThatOfTheSameValues) {
    const Study study =
        study_of({{"base", 1, 3, {"1e-3"}}, {"base", 1, 4, {"1e-2"}}, {"gate", 1, 2, {"1e-2"}}}, {"optimizer.lr"});
    const auto groups = study.groups();
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(baseline_of(study, groups, groups[2]), &groups[1]);
    EXPECT_EQ(groups[2].combination, "optimizer.lr=1e-2");
}

}  // namespace
}  // namespace sluice
