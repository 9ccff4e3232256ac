// What a run writes: metrics that read back to the same bits, TensorBoard records, a console line that fits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "base/json.h"
#include "support/folder.h"
#include "train/console.h"
#include "train/metrics.h"
#include "train/tensorboard.h"

namespace sluice {
namespace {

TEST(Metrics, NumbersReadBackToTheSameBits) {
    const double x = 0.1 + 0.2;
    const Json row =
        Json::parse(metrics_line({{"step", int64_t{3}}, {"x", x}, {"nan", NAN}, {"inf", -INFINITY}, {"a\"b", 1e-300}}));
    EXPECT_EQ(row["step"], 3);
    EXPECT_EQ(row["x"].get<double>(), x);
    EXPECT_TRUE(row["nan"].is_null());
    EXPECT_TRUE(row["inf"].is_null());
    EXPECT_EQ(row["a\"b"].get<double>(), 1e-300);
}

TEST(Metrics, HalfALineLeftByACrashIsCutOff) {
    const Folder folder;
    std::ofstream(folder / "m") << "{\"step\": 1}\n{\"step\": 2, \"lo";
    { Metrics(folder / "m", 1).append({{"step", int64_t{2}}}); }
    std::ostringstream text;
    text << std::ifstream(folder / "m").rdbuf();
    EXPECT_EQ(text.str(), "{\"step\": 1}\n{\"step\": 2}\n");
}

TEST(TensorBoard, RecordsAreFramedAndHoldTheNumbers) {
    EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
    const std::string record = event_record(1.5, 300, {{"step", int64_t{300}}, {"loss", 2.5}});
    uint64_t length = 0;
    std::memcpy(&length, record.data(), 8);
    ASSERT_EQ(record.size(), 16 + length);
    const auto masked = [](const char* data, size_t n) {
        const uint32_t crc = crc32c(data, n);
        return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    };
    uint32_t crc = 0;
    std::memcpy(&crc, record.data() + 8, 4);
    EXPECT_EQ(crc, masked(record.data(), 8));
    std::memcpy(&crc, record.data() + 12 + length, 4);
    EXPECT_EQ(crc, masked(record.data() + 12, length));
    // wall time (field 1, fixed64), step (field 2, varint 300), summary (5) of one value (1): tag "loss" (1), 2.5f (2)
    const std::string event = record.substr(12, length);
    const std::string expected =
        std::string("\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\x20\x40", 27);
    EXPECT_EQ(event, expected);
}

TEST(Console, TheLineFitsAndReads) {
    StepLine line;
    line.step = 120, line.steps = 18865, line.loss = 5.8123, line.grad_norm = 1.204, line.lr = 6e-4;
    line.tokens_per_second = 1.74e6, line.mfu = 0.482, line.memory_bytes = 61.3 * (1 << 30), line.seconds = 0.301,
    line.eta_seconds = 5640;
    EXPECT_EQ(format_step_line(line),
              "step 120/18865 | loss 5.8123 | gn 1.204 | lr 6.00e-04 | 1.74M tok/s | mfu 48.2% | mem 61.3G | 301ms | "
              "eta 1h34m");
    line.step = line.steps = 123456789, line.loss = line.grad_norm = 1e30, line.skipped = 12345;
    EXPECT_LE(format_step_line(line).size(), 140u);
    line.loss = NAN;
    EXPECT_NE(format_step_line(line).find("loss nan"), std::string::npos);
}

TEST(Format, Numbers) {
    EXPECT_EQ(format_count(950), "950");
    EXPECT_EQ(format_count(999'999), "1.00M");
    EXPECT_EQ(format_bytes(512), "512B");
    EXPECT_EQ(format_seconds(0.3), "300ms");
    EXPECT_EQ(format_seconds(75), "1m15s");
}

}  // namespace
}  // namespace sluice
