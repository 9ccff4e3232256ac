// What a run writes: metrics that read back to the same bits, TensorBoard records, a console line that fits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "base/json.h"
#include "log/console.h"
#include "log/gemm_rate.h"
#include "log/kept_config.h"
#include "log/metrics.h"
#include "log/steadiness.h"
#include "log/tensorboard.h"
#include "support/folder.h"

namespace sluice {
namespace {

TEST(Metrics, NumbersReadBackToTheSameBits) {
    const double x = 0.1 + 0.2;
    const Json row =
        parse_json(metrics_line({{"step", int64_t{3}}, {"x", x}, {"nan", NAN}, {"inf", -INFINITY}, {"a\"b", 1e-300}}));
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

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

TEST(Metrics, AStartHasALineWithoutAStep) {
    const Folder folder;
    Metrics metrics(folder / "m", 0);
    metrics.begin({{"version", "0.1.0"}, {"ranks", 2}});
    metrics.append({{"step", int64_t{1}}});
    EXPECT_EQ(text_of(folder / "m"), "{\"run\":{\"version\":\"0.1.0\",\"ranks\":2}}\n{\"step\": 1}\n");
}

TEST(Metrics, RowsOfAnAbandonedPartAreMovedAside) {
    const Folder folder;
    const std::string kept = "{\"run\": {}}\n{\"step\": 1}\n{\"step\": 10}\n", start = "{\"run\": {}}\n",
                      later = "{\"step\": 11, \"loss\": 0.1}\n{\"step\": 200}\n";
    std::ofstream(folder / "metrics.jsonl") << kept + later + start + "{\"step\": 12}\n{\"step\": 1";
    const auto aside = folder / "metrics.abandoned.jsonl";
    Metrics(folder / "metrics.jsonl", 10).append({{"step", int64_t{11}}});
    EXPECT_EQ(text_of(folder / "metrics.jsonl"), kept + start + "{\"step\": 11}\n");
    EXPECT_EQ(text_of(aside), later + "{\"step\": 12}\n");
    { Metrics(folder / "metrics.jsonl", 11); }
    EXPECT_EQ(text_of(folder / "metrics.jsonl"), kept + start + "{\"step\": 11}\n");
    { Metrics(folder / "metrics.jsonl", 0); }
    EXPECT_EQ(text_of(folder / "metrics.jsonl"), "{\"run\": {}}\n" + start);
    EXPECT_EQ(text_of(aside), later + "{\"step\": 12}\n{\"step\": 1}\n{\"step\": 10}\n{\"step\": 11}\n");
}

TEST(Metrics, RowsOfAnotherKeyAreMovedBesideTheirFile) {
    const Folder folder;
    const std::string kept = "{\"step\": 70, \"first_sample\": 36}\n", later = "{\"step\": 3, \"first_sample\": 40}\n";
    std::ofstream(folder / "spikes.jsonl") << kept + later;
    { Metrics(folder / "spikes.jsonl", 40, "first_sample"); }
    EXPECT_EQ(text_of(folder / "spikes.jsonl"), kept + later);
    { Metrics(folder / "spikes.jsonl", 39, "first_sample"); }
    EXPECT_EQ(text_of(folder / "spikes.jsonl"), kept);
    EXPECT_EQ(text_of(folder / "spikes.abandoned.jsonl"), later);
    EXPECT_FALSE(std::filesystem::exists(folder / "metrics.abandoned.jsonl"));
}

TEST(Config, ThatOfAnEarlierStartIsKept) {
    const Folder folder;
    const auto keep = [&](const char* yaml) { keep_config(folder.path(), yaml); };
    const auto files = [&] {
        std::string names;
        for (const char* name : {"config.yaml", "config.1.yaml", "config.2.yaml", "config.3.yaml"})
            names += std::filesystem::exists(folder / name) ? text_of(folder / name) + " " : "- ";
        return names;
    };
    keep("a");
    keep("a");
    EXPECT_EQ(files(), "a - - - ");
    keep("b");
    EXPECT_EQ(files(), "b a - - ");
    std::ofstream(folder / "config.2.yaml") << "b";  // as a start that ended half way would leave it
    keep("a");
    EXPECT_EQ(files(), "a a b - ");
    keep("b");
    EXPECT_EQ(files(), "b a b a ");
}

TEST(StepTimes, SayOnceThatTheyVaryWildly) {
    const auto told_at = [](const std::vector<double>& cycle) {
        StepTimes times;
        std::vector<int> told;
        for (int i = 0; i < 200; i++)
            if (times.add(cycle[size_t(i) % cycle.size()])) told.push_back(i);
        return told;
    };
    using Told = std::vector<int>;
    EXPECT_EQ(told_at({0.05, 0.40}), Told{31});  // the 32nd step, and never again
    EXPECT_EQ(told_at({0.05, 0.06, 0.05, 0.05, 0.05, 0.20}), Told{31});
    EXPECT_EQ(told_at({0.05}), Told{});
    EXPECT_EQ(told_at({0.05, 0.149}), Told{});  // not wildly
    std::vector<double> rarely(16, 0.05);
    rarely[3] = 1;  // 2 of 32: a few slow steps have their reasons
    EXPECT_EQ(told_at(rarely), Told{});
    StepTimes times;  // a slow start and a slower machine are steady
    for (int i = 0; i < 3; i++) EXPECT_FALSE(times.add(5));
    for (int i = 0; i < 100; i++) EXPECT_FALSE(times.add(0.05));
    for (int i = 0; i < 3; i++) EXPECT_FALSE(times.add(0.5));
    EXPECT_TRUE(times.add(0.5));
    EXPECT_EQ(times.fast(), 0.05);
    EXPECT_EQ(times.slow(), 0.5);
}

TEST(GemmRate, IsTheBestOfTimingsOverTheRunAndNeverFalls) {
    std::vector<double> timings{10, 9, 30, 20};  // the first in a busy second
    std::vector<int> times;
    GemmRate rate([&, at = size_t{0}](int n) mutable {
        times.push_back(n);
        return timings.at(at++);
    });
    EXPECT_EQ(rate.best(), 10);
    std::vector<double> best;
    for (int line = 1; line <= 8; line++) {
        rate.at_line(line == 5 ? 31 : 1);
        best.push_back(rate.best());
    }
    EXPECT_EQ(best, (std::vector<double>{10, 10, 10, 30, 31, 31, 31, 31}));  // timed at lines 2, 4 and 8
    EXPECT_EQ(times, (std::vector<int>{2, 1, 1, 1}));
}

TEST(TensorBoard, AStartMakesReadersForget) {
    const std::string record = start_record(1.5, 300);
    uint64_t length = 0;
    std::memcpy(&length, record.data(), 8);
    ASSERT_EQ(record.size(), 16 + length);
    // wall time (1), step (2), session_log (7) of a status (1): START (1)
    EXPECT_EQ(record.substr(12, length), std::string("\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x3a\x02\x08\x01", 16));
}

TEST(TensorBoard, FilesAreReadInTheOrderOfStarts) {
    const Folder folder;
    const std::string prefix = "events.out.tfevents.";
    const auto newest = [&] {
        std::string name;
        for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
            name = std::max(name, entry.path().filename().string());
        return name;
    };
    std::ofstream(folder / (prefix + "4000000000.elsewhere.7")) << "";  // of a clock that is ahead
    { TensorBoard(folder.path(), 1).append(1, {{"step", int64_t{1}}, {"time", 2.0}, {"loss", 3.0}}); }
    EXPECT_EQ(newest().rfind(prefix + "4000000001.", 0), size_t{0}) << newest();
    const std::string text = text_of(folder / newest());
    EXPECT_NE(text.find("\n\x04loss"), std::string::npos);
    EXPECT_EQ(text.find("\n\x04time"), std::string::npos) << "an event has its time";
    EXPECT_NE(text.find(std::string("\x10\x01\x3a\x02\x08\x01")), std::string::npos) << "a start at step 1";
    { TensorBoard(folder.path(), 1); }  // within the same second
    EXPECT_EQ(newest().rfind(prefix + "4000000002.", 0), size_t{0}) << newest();
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

// Summary.Value.histo (5): min, max, num, sum, sum_squares (1 to 5), bucket_limit and bucket (6, 7), both packed.
TEST(TensorBoard, HistogramsHaveLimitsAndCounts) {
    const Histogram histogram{-0.5, 0.25, {0.25, 0, 0.75}, 8};
    const auto raw = [](double x) { return std::string(reinterpret_cast<const char*>(&x), 8); };
    std::string histo, limits, counts;
    const double numbers[] = {-0.5, 0.25, 8, 2 * -0.375 + 6 * 0.125, 2 * 0.375 * 0.375 + 6 * 0.125 * 0.125};
    for (int field = 1; field <= 5; field++) histo += char(field * 8 + 1) + raw(numbers[field - 1]);
    for (const double limit : {-0.25, 0.0, 0.25}) limits += raw(limit);
    for (const double count : {2.0, 0.0, 6.0}) counts += raw(count);
    histo += "\x32\x18" + limits + "\x3a\x18" + counts;
    const std::string record = event_record(1.5, 300, {{"gates", histogram}});
    const std::string value = std::string("\x0a\x05gates\x2a") + char(histo.size()) + histo;
    EXPECT_NE(record.find(std::string("\x0a") + char(value.size()) + value), std::string::npos);
    EXPECT_EQ(metrics_line({{"gates", histogram}, {"x", 1.5}}),
              R"({"gates": {"low": -0.5, "width": 0.25, "shares": [0.25, 0, 0.75]}, "x": 1.5})");
}

TEST(Console, TheLineFitsAndReads) {
    StepLine line;
    line.step = 120, line.steps = 18865, line.loss = 5.8123, line.grad_norm = 1.204, line.lr = 6e-4;
    line.tokens_per_second = 1.74e6, line.mfu = 0.482, line.memory_bytes = 61.3 * (1 << 30), line.seconds = 0.301,
    line.eta_seconds = 5640;
    EXPECT_EQ(format_step_line(line),
              "step 120/18865 | loss 5.8123 | gn 1.204 | lr 6.00e-04 | 1.74M tok/s | mfu 48.2% of gemm | mem 61.3G | "
              "301ms | eta 1h34m");
    line.step = 18865;  // nothing is left to wait for
    EXPECT_EQ(format_step_line(line).find("eta"), std::string::npos);
    line.steps = 123456789, line.loss = line.grad_norm = 1e30, line.skipped = 12345;
    EXPECT_LE(format_step_line(line).size(), 140u);
    EXPECT_NE(format_step_line(line).find("skipped 12345"), std::string::npos) << "it is told before what hangs on it";
    line.loss = line.grad_norm = -NAN;
    EXPECT_NE(format_step_line(line).find(" | loss nan | gn nan | "), std::string::npos) << format_step_line(line);
    line.loss = line.grad_norm = -INFINITY;
    EXPECT_NE(format_step_line(line).find(" | loss -inf | gn -inf | "), std::string::npos);
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
