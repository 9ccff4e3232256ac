// The learning rate of every step.
#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

Config schedule(ScheduleKind kind, int64_t steps, int64_t warmup, int64_t decay, double final_lr = 0) {
    Config c;
    c.optimizer.lr = 1;
    c.train.steps = steps;
    c.schedule.kind = kind;
    c.schedule.warmup_steps = warmup;
    c.schedule.decay_steps = decay;
    c.schedule.final_lr = final_lr;
    return c;
}

TEST(Schedule, LinearIsAStraightLineToTheLastStep) {
    const Config c = schedule(ScheduleKind::linear, 100, 20, 0, 0.2);
    EXPECT_DOUBLE_EQ(learning_rate(c, 10), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(c, 20), 1);
    EXPECT_DOUBLE_EQ(learning_rate(c, 40), 0.8);
    EXPECT_DOUBLE_EQ(learning_rate(c, 60), 0.6);
    EXPECT_DOUBLE_EQ(learning_rate(c, 100), 0.2);
}

// By the design's words: the ramp up to warmup_steps, wsd's line over the last decay_steps, lr between.
TEST(Schedule, WsdIsTheRampAndTheLineWhereOneOfThemSpeaks) {
    for (const int64_t steps : {1, 2, 10, 37})
        for (const int64_t warmup : {0, 1, 5, 10, 36, 37, 40})
            for (const int64_t decay : {0, 1, 5, 10, 37, 60})
                for (int64_t s = 1; s <= steps; s++) {
                    const Config c = schedule(ScheduleKind::wsd, steps, warmup, decay, 0.1);
                    const bool rises = s <= warmup, falls = steps - s < decay;
                    const double ramp = double(s) / double(std::max<int64_t>(warmup, 1));
                    const double line = 0.1 + 0.9 * double(steps - s) / double(std::max<int64_t>(decay, 1));
                    const double expected = rises && falls ? std::min(ramp, line) : rises ? ramp : falls ? line : 1;
                    EXPECT_NEAR(learning_rate(c, s), expected, 1e-12)
                        << steps << " " << warmup << " " << decay << " " << s;
                }
}

// However they overlap, no step changes the rate by more than the steeper of ramp and line does.
TEST(Schedule, NoStepsRateJumps) {
    for (int64_t steps = 1; steps <= 24; steps++)
        for (int64_t warmup = 0; warmup <= 30; warmup++)
            for (int64_t decay = 2; decay <= 30; decay++) {
                const Config c = schedule(ScheduleKind::wsd, steps, warmup, decay);
                const double steepest = 1.0 / double(warmup > 0 ? std::min(warmup, decay) : decay);
                for (int64_t s = 2; s <= steps; s++)
                    EXPECT_LE(std::abs(learning_rate(c, s) - learning_rate(c, s - 1)), steepest + 1e-12)
                        << steps << " " << warmup << " " << decay << " " << s;
            }
}

TEST(Schedule, WarmUpMayBeLongerThanTheRun) {
    for (const auto& [word, kind] : EnumNames<ScheduleKind>::all)
        for (const int64_t warmup : {10, 11, 1000})
            for (int64_t s = 1; s <= 10; s++)
                EXPECT_DOUBLE_EQ(learning_rate(schedule(kind, 10, warmup, 0, 0.5), s), double(s) / double(warmup))
                    << word << " " << warmup << " " << s;
}

}  // namespace
}  // namespace sluice
