// The numbers of a step's line on the console.
#include <gtest/gtest.h>

#include "log/console.h"

namespace sluice {
namespace {

StepLine line() {
    StepLine line;
    line.step = 3;
    line.steps = 40;
    line.loss = 2.34567;
    line.grad_norm = 0.98765;
    line.lr = 0.00123;
    line.tokens_per_second = 1234;
    line.mfu = 0.456;
    line.memory_bytes = 3 << 20;
    line.seconds = 0.25;
    line.eta_seconds = 75;
    return line;
}
bool shows(const StepLine& line, const std::string& text) {
    return (format_step_line(line) + " ").find(text) != std::string::npos;
}

TEST(StepLine, ShowsEveryNumberInItsUnit) {
    for (const char* text : {"step 3/40 ", " loss 2.3457 ", " gn 0.988 ", " lr 1.23e-03 ", " 1.23K tok/s ",
                             " mfu 45.6%", " mem 3.00M ", " 250ms ", " eta 1m15s "})
        EXPECT_TRUE(shows(line(), text)) << text << " is not in: " << format_step_line(line());
}

TEST(StepLine, ShowsSkippedStepsFromTheFirst) {
    StepLine n = line();
    EXPECT_FALSE(shows(n, "skipped"));
    n.skipped = 1;
    EXPECT_TRUE(shows(n, " skipped 1 ")) << format_step_line(n);
}

}  // namespace
}  // namespace sluice
