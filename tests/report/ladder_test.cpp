// Power laws and compute-equivalent gains, on laws that are known.
#include "report/ladder.h"

#include "report/studies.h"

namespace sluice {
namespace {

std::vector<Rung> rungs_of(const PowerLaw& law, const std::vector<double>& flops) {
    std::vector<Rung> rungs;
    for (const double c : flops) rungs.push_back({c, law.loss(c)});
    return rungs;
}
const std::vector<double> kFive{1e12, 4e12, 1.6e13, 6.4e13, 2.56e14};

TEST(PowerLaw, IsFoundAgain) {
    for (const double floor : {0.0, 0.5, 1.69})
        for (const double exponent : {0.05, 0.15, 0.5}) {
            const PowerLaw law{floor, 2 * std::pow(1e12, exponent), exponent};
            const auto fit = fit_power_law(rungs_of(law, kFive));
            ASSERT_TRUE(fit);
            EXPECT_NEAR(fit->exponent, exponent, 1e-4) << floor;
            EXPECT_NEAR(fit->floor, floor, 1e-3) << exponent;
            for (const double c : kFive) EXPECT_NEAR(fit->loss(c), law.loss(c), 1e-5);
        }
}

TEST(PowerLaw, HasNoFloorOfFewSizes) {
    const PowerLaw law{0, 100, 0.1};
    const auto fit = fit_power_law(rungs_of(law, {1e12, 1e13, 1e14}));
    EXPECT_EQ(fit->floor, 0);
    EXPECT_EQ(fit_power_law(rungs_of({1, 100, 0.1}, {1e12, 1e13, 1e14}))->floor, 0);
    EXPECT_NEAR(fit->exponent, 0.1, 1e-10);
    EXPECT_NEAR(fit_power_law(rungs_of(law, {1e12, 1e13}))->scale, 100, 1e-6);
}

TEST(PowerLaw, NeedsTwoSizesAndALossThatFalls) {
    EXPECT_FALSE(fit_power_law({}));
    EXPECT_FALSE(fit_power_law({{1e12, 3}}));
    EXPECT_FALSE(fit_power_law({{1e12, 3}, {1e12, 2.9}}));
    EXPECT_FALSE(fit_power_law({{1e12, 3}, {1e13, 3.1}}));
    EXPECT_FALSE(fit_power_law({{0, 3}, {1e13, 2}}));
    EXPECT_FALSE(fit_power_law({{1e12, 0}, {1e13, -1}}));
}

TEST(PowerLaw, TimesGoThroughTheOwnPoint) {
    const PowerLaw law{1, 8, 0.5};
    EXPECT_DOUBLE_EQ(*law.times(3, 2), 4);  // the distance to the floor halves
    EXPECT_DOUBLE_EQ(*law.times(2, 3), 0.25);
    EXPECT_FALSE(law.times(3, 1));  // is never reached
}

// The variant reaches what the baseline reaches with `gain` times the FLOPs; noise of a seed is common to both.
Study ladder(double gain, int seeds, double speed = 1) {
    const PowerLaw law{1.5, 3 * std::pow(1e12, 0.2), 0.2};
    std::vector<MadePoint> points;
    for (const char* variant : {"base", "gate"})
        for (size_t i = 0; i < kFive.size(); i++)
            for (int seed = 1; seed <= seeds; seed++)
                points.push_back({variant,
                                  seed,
                                  law.loss(kFive[i] * (variant[0] == 'g' ? gain : 1) * (1 + 0.02 * seed)),
                                  {std::to_string(i)},
                                  kFive[i]});
    Study study = study_of(points, {"model.layers"});
    for (StudyPoint& point : study.points)
        if (point.point.variant == "gate") point.run.series["tokens_per_second"] = {{1, 100 * speed}};
    return study;
}

TEST(Ladder, FindsTheGainOfASyntheticLaw) {
    for (const double gain : {0.8, 1.0, 1.3, 2.0}) {
        const auto ladders = ladders_of(ladder(gain, 3, 0.9));
        ASSERT_EQ(ladders.size(), 1u);
        ASSERT_TRUE(ladders[0].law);
        EXPECT_NEAR(ladders[0].law->exponent, 0.2, 1e-3);
        ASSERT_EQ(ladders[0].rungs.size(), 10u);
        for (const Gain& rung : ladders[0].rungs) {
            EXPECT_EQ(rung.data.has_value(), rung.variant == "gate");
            if (!rung.data) continue;
            EXPECT_EQ(rung.data->n, 3);
            EXPECT_NEAR(rung.data->mean, gain, 0.001 * gain) << rung.size;
            EXPECT_NEAR(rung.time->mean, 0.9 * gain, 0.001 * gain);  // it trains at 0.9 of the rate
            EXPECT_LE(*rung.data->low, rung.data->mean);
            EXPECT_GE(*rung.data->high, rung.data->mean);
        }
    }
}

TEST(Ladder, OneSeedHasNoInterval) {
    const auto ladders = ladders_of(ladder(1.3, 1));
    ASSERT_EQ(ladders.size(), 1u);
    EXPECT_FALSE(ladders[0].rungs.back().data->low);
}

TEST(Ladder, OneForEachValueOfTheOtherAxes) {
    std::vector<MadePoint> points;
    for (const char* lr : {"1e-3", "1e-2"})
        for (const char* layers : {"2", "4"})
            points.push_back({"base", 1, layers[0] == '2' ? 3.0 : 2.8, {lr, layers}, layers[0] == '2' ? 1e12 : 4e12});
    const auto ladders = ladders_of(study_of(points, {"optimizer.lr", "model.layers"}));
    ASSERT_EQ(ladders.size(), 2u);
    EXPECT_EQ(ladders[1].where, "optimizer.lr=1e-2");
    EXPECT_EQ(ladders[1].rungs[0].size, "model.layers=2");
}

TEST(Ladder, NoneWhereAllHaveOneSize) {
    EXPECT_EQ(ladders_of(study_of({{"base", 1, 3, {"1"}}, {"base", 1, 3, {"2"}}}, {"optimizer.lr"})).size(), 0u);
    EXPECT_EQ(ladders_of(study_of({{"base"}, {"gate"}})).size(), 0u);
}

TEST(Ladder, ALossThatIsNeverReachedHasNoGain) {
    Study study = ladder(1.3, 1);
    study.points.back().run.series["eval/held/loss"] = {{2, 0.1}};
    EXPECT_FALSE(ladders_of(study)[0].rungs.back().data);
    EXPECT_EQ(ladders_of(study)[0].rungs.back().why, "below the floor of the baseline's law of seed 1");
}

TEST(Ladder, SaysWhyThereIsNoGain) {
    const auto why = [](const auto& change) {
        Study study = ladder(1.3, 1);
        for (StudyPoint& point : study.points)
            if (point.point.variant == "base") change(point);
        return ladders_of(study)[0].rungs.back().why;
    };
    EXPECT_EQ(why([](StudyPoint&) {}), "");
    EXPECT_EQ(why([](StudyPoint& point) {
                  if (point.flops == kFive[4]) point.counts = false;
              }),
              "no baseline of seed 1");
    EXPECT_EQ(why([](StudyPoint& point) {
                  point.run.series["eval/held/loss"] = {{2, 3 + point.flops / kFive[4]}};
              }),
              "the baseline's losses of seed 1 follow no power law");
}

}  // namespace
}  // namespace sluice
