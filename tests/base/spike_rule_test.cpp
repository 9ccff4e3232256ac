// The rule that tells spikes, on series that are made up.
#include "base/spike_rule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/rng.h"

namespace sluice {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
using Series = std::function<double(int64_t step)>;

// The steps from 0 on that the rule takes for spikes. Gradient norms: all 1 where none are given.
std::vector<int64_t> spikes_of(
    SpikeRule& rule, int64_t steps, const Series& loss, const Series& norm = [](int64_t) { return 1.0; }) {
    std::vector<int64_t> spikes;
    for (int64_t step = 0; step < steps; step++)
        if (rule.is_spike(loss(step), norm(step))) spikes.push_back(step);
    return spikes;
}
std::vector<int64_t> spikes_of(
    int64_t steps, const Series& loss, const Series& norm = [](int64_t) { return 1.0; }) {
    SpikeRule rule(128, 8, 5);
    return spikes_of(rule, steps, loss, norm);
}
using Steps = std::vector<int64_t>;

// A loss of 3 with a standard deviation of 0.05, of a seed.
Series noisy(uint64_t seed) {
    return [seed](int64_t step) { return 3 + 0.05 * normal(seed, uint64_t(step)); };
}
Series with(const Series& series, const std::vector<std::pair<int64_t, double>>& outliers) {
    return [=](int64_t step) {
        for (const auto& [at, value] : outliers)
            if (at == step) return value;
        return series(step);
    };
}

TEST(SpikeRule, CatchesAnOutlierAndNothingElse) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        EXPECT_EQ(spikes_of(400, noisy(seed)), Steps{}) << seed;
        EXPECT_EQ(spikes_of(400, with(noisy(seed), {{300, 4}})), Steps{300}) << seed;
        EXPECT_EQ(spikes_of(400, with(noisy(seed), {{300, 2}})), Steps{}) << "one below, seed " << seed;
        EXPECT_EQ(spikes_of(
                      400, [](int64_t) { return 3.0; }, with(noisy(seed), {{300, 6}})),
                  Steps{300})
            << "of the norm, seed " << seed;
        EXPECT_EQ(spikes_of(
                      400, [](int64_t) { return 3.0; }, with(noisy(seed), {{300, 5}})),
                  Steps{})
            << "a norm that is not 1.8 times the median harms nothing, seed " << seed;
    }
}

// The first is huge: it must not make the rule blind to the second.
TEST(SpikeRule, CatchesASecondOutlierTenStepsLater) {
    for (uint64_t seed = 0; seed < 50; seed++)
        EXPECT_EQ(spikes_of(400, with(noisy(seed), {{300, 1e4}, {310, 4}})), (Steps{300, 310})) << seed;
    EXPECT_EQ(spikes_of(400, with(noisy(1), {{300, 1e300}, {301, 1e300}, {302, 1e300}, {310, 4}})),
              (Steps{300, 301, 302, 310}));
    Steps many;
    for (int64_t step = 200; step < 400; step += 10) many.push_back(step);
    EXPECT_EQ(spikes_of(400, [](int64_t step) { return step >= 200 && step % 10 == 0 ? 4 : noisy(1)(step); }), many)
        << "of which no two are in a row";
}

TEST(SpikeRule, WhatIsNotFiniteIsNoSpikeAndLeavesNoTrace) {
    for (const double bad : {kNan, kInfinity, -kInfinity}) {
        SpikeRule rule(128, 8, 5), clean(128, 8, 5);
        spikes_of(rule, 200, noisy(1));
        spikes_of(clean, 200, noisy(1));
        for (int i = 0; i < 300; i++) {
            EXPECT_FALSE(rule.is_spike(bad, 1));
            EXPECT_FALSE(rule.is_spike(3, bad));
        }
        EXPECT_EQ(rule.history(), clean.history());
        EXPECT_EQ(rule.loss().median, 0) << "it was not compared";
        EXPECT_TRUE(rule.is_spike(4, 1));
        EXPECT_FALSE(rule.is_spike(3, 1));
    }
    EXPECT_EQ(spikes_of(400, with(noisy(2), {{298, kNan}, {299, kInfinity}, {300, 4}, {301, kNan}, {302, 4}})),
              (Steps{300, 302}));
    // Nor does it end a row of spikes.
    const Series level = [](int64_t step) { return step < 300 ? 3 : step % 2 ? kNan : 9; };
    EXPECT_EQ(spikes_of(400, level), (Steps{300, 302, 304, 306, 308}));
}

// Nor does a spike: the numbers that are kept are those of the steps that were none.
TEST(SpikeRule, SpikesStayOutOfTheNumbers) {
    SpikeRule with_spike(128, 8, 5), without(128, 8, 5);
    spikes_of(with_spike, 300, with(noisy(3), {{299, 50}}));
    spikes_of(without, 299, noisy(3));
    EXPECT_EQ(with_spike.history().losses, without.history().losses);
    EXPECT_EQ(with_spike.history().grad_norms, without.history().grad_norms);
    EXPECT_EQ(with_spike.history().in_a_row, 1);
    EXPECT_EQ(with_spike.loss().median, level_of(without.history().losses).median);
    EXPECT_EQ(with_spike.loss().mad, level_of(without.history().losses).mad);
}

TEST(SpikeRule, DriftIsNoSpike) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        const Series noise = [=](int64_t step) { return 0.02 * normal(seed, uint64_t(step)); };
        const Series falls = [=](int64_t step) { return 3 + 8 * std::exp(-double(step) / 60) + noise(step); };
        const Series rises = [=](int64_t step) { return 3 + 0.005 * double(step) + noise(step); };
        const Series doubles = [=](int64_t step) { return std::exp2(double(step) / 128) + noise(step); };
        const Series waves = [=](int64_t step) { return 3 + 0.3 * std::sin(double(step) / 40) + noise(step); };
        for (const Series& drift : {falls, rises, doubles, waves}) {
            EXPECT_EQ(spikes_of(1000, drift), Steps{}) << seed;
            EXPECT_EQ(spikes_of(1000, drift, drift), Steps{}) << seed;
        }
    }
    EXPECT_EQ(spikes_of(500, [](int64_t step) { return 11 - 0.02 * double(step); }), Steps{}) << "without any noise";
    EXPECT_EQ(spikes_of(500, [](int64_t step) { return 3 + 0.02 * double(step); }), Steps{});
}

TEST(SpikeRule, AConstantIsNotSkippedForItsRounding) {
    EXPECT_EQ(spikes_of(1000, [](int64_t) { return 3.0; }), Steps{});
    for (uint64_t seed = 0; seed < 20; seed++) {
        // Exact but for a few steps: the MAD is 0.
        const auto rounding = [=](int64_t step) { return step % 20 == 0 ? 1e-6 * normal(seed, uint64_t(step)) : 0; };
        EXPECT_EQ(spikes_of(1000, [=](int64_t step) { return 3 * (1 + rounding(step)); }), Steps{}) << seed;
    }
    EXPECT_EQ(spikes_of(1000, [](int64_t) { return 0.0; }), Steps{}) << "nor is nothing";
    EXPECT_EQ(spikes_of(300, with([](int64_t) { return 3.0; }, {{200, 3.03}})), Steps{200}) << "1% is no rounding";
    EXPECT_EQ(spikes_of(300, with([](int64_t) { return 3.0; }, {{200, 3.02}})), Steps{}) << "0.8% is the least";
    EXPECT_EQ(spikes_of(300, with([](int64_t) { return -3.0; }, {{200, -2.0}, {210, -2.99}})), Steps{200});
}

TEST(SpikeRule, ALevelThatStaysIsAcceptedAndTheWindowBeginsAnew) {
    for (const int64_t most : {1, 5, 9}) {
        SpikeRule rule(128, 8, most);
        Steps expected;
        for (int64_t i = 0; i < most; i++) expected.push_back(300 + i);
        EXPECT_EQ(
            spikes_of(rule, 1000, [](int64_t step) { return (step < 300 ? 3 : 9) + 0.05 * normal(7, uint64_t(step)); }),
            expected);
        EXPECT_NEAR(level_of(rule.history().losses).median, 9, 0.1);
        EXPECT_TRUE(rule.is_spike(10, 1)) << "and judges there";
    }
    SpikeRule rule(128, 8, 5);
    spikes_of(rule, 306, [](int64_t step) { return step < 300 ? 3 : 9; });
    EXPECT_EQ(rule.history(), (SpikeHistory{{9}, {1}, 0}));
}

// However a series goes, not more than `most` in a row are skipped.
TEST(SpikeRule, NeverSkipsWithoutEnd) {
    for (uint64_t seed = 0; seed < 30; seed++) {
        SpikeRule rule(16, 2, 3);
        int64_t row = 0, longest = 0;
        for (uint64_t step = 0; step < 2000; step++) {
            const double wild = std::exp(4 * normal(seed, step)) * std::exp2(double(step) / 20);
            row = rule.is_spike(wild, std::exp(3 * normal(seed + 1000, step))) ? row + 1 : 0;
            longest = std::max(longest, row);
            ASSERT_LE(int64_t(rule.history().losses.size()), 16);
            ASSERT_EQ(rule.history().losses.size(), rule.history().grad_norms.size());
        }
        EXPECT_EQ(longest, 3) << seed;
    }
}

TEST(SpikeRule, NeedsHalfAWindow) {
    for (const int64_t window : {4, 15, 16, 128}) {
        const int64_t needed = (window + 1) / 2;
        SpikeRule early(window, 8, 5), ready(window, 8, 5);
        spikes_of(early, needed - 1, noisy(1));
        EXPECT_FALSE(early.is_spike(100, 1)) << window;
        spikes_of(ready, needed, noisy(1));
        EXPECT_TRUE(ready.is_spike(100, 1)) << window;
    }
}

TEST(SpikeRule, GoesOnFromWhatItRemembers) {
    const Series series = with(noisy(5), {{150, 9}, {151, 9}, {152, 9}, {153, 9}, {154, 9}, {155, 9}, {400, 9}});
    SpikeRule whole(128, 8, 5);
    const Steps expected = spikes_of(whole, 500, series);
    EXPECT_EQ(expected, (Steps{150, 151, 152, 153, 154, 400}));
    for (const int64_t stop : {1, 63, 64, 100, 150, 151, 153, 155, 156, 300, 499}) {
        SpikeRule first(128, 8, 5), second(128, 8, 5);
        Steps found = spikes_of(first, stop, series);
        second.restore(first.history());
        for (int64_t step : spikes_of(second, 500 - stop, [&](int64_t step) { return series(step + stop); }))
            found.push_back(step + stop);
        EXPECT_EQ(found, expected) << stop;
        EXPECT_EQ(second.history(), whole.history()) << stop;
    }
    SpikeRule shorter(16, 8, 5);
    shorter.restore(whole.history());
    const auto& all = whole.history().losses;
    EXPECT_EQ(shorter.history().losses, (std::vector<double>{all.end() - 16, all.end()}));
    EXPECT_EQ(shorter.history().grad_norms.size(), 16u);
}

TEST(SpikeRule, MediansAreThoseOfTheMiddle) {
    EXPECT_EQ(level_of({5}).median, 5);
    EXPECT_EQ(level_of({5}).mad, 0);
    EXPECT_EQ(level_of({4, 1, 100}).median, 4);
    EXPECT_EQ(level_of({4, 1, 100}).mad, 3);
    EXPECT_EQ(level_of({4, 1, 100, 2}).median, 3);
    EXPECT_EQ(level_of({4, 1, 100, 2}).mad, 1.5);
}

TEST(SpikeRule, CountsThoseOfASeries) {
    const auto series = [](const Series& loss) {
        std::vector<double> losses;
        for (int64_t step = 0; step < 400; step++) losses.push_back(loss(step));
        return losses;
    };
    EXPECT_EQ(count_spikes({}, 128, 8), 0);
    EXPECT_EQ(count_spikes(series(noisy(1)), 128, 8), 0);
    EXPECT_EQ(count_spikes(series(with(noisy(1), {{100, 4}, {200, kNan}, {300, 5}})), 128, 8), 2);
    EXPECT_EQ(count_spikes(series([](int64_t step) { return step < 200 ? 3 : 9; }), 128, 8), 5);
}

}  // namespace
}  // namespace sluice
