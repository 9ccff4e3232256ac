// Lines for people: numbers, plurals, columns that fit, and what is kept of errors.
#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/format.h"
#include "base/version.h"
#include "cli/columns.h"
#include "cli/log_file.h"
#include "support/folder.h"

namespace sluice {
namespace {

TEST(Format, NotFinite) {
    for (const double nan : {double(NAN), -double(NAN)}) {
        EXPECT_EQ(format_fixed(nan, 3), "nan");
        EXPECT_EQ(format_count(nan), "nan");
        EXPECT_EQ(format_bytes(nan), "nan");
        EXPECT_EQ(format_seconds(nan), "?");
    }
    EXPECT_EQ(format_fixed(INFINITY, 3), "inf");
    EXPECT_EQ(format_fixed(-INFINITY, 3), "-inf");
    EXPECT_EQ(format_count(INFINITY), "inf");
}

TEST(Format, ThreeDigitsAlsoWhereTheyRound) {
    EXPECT_EQ(format_count(999.4), "999");
    EXPECT_EQ(format_count(999.6), "1.00K");
    EXPECT_EQ(format_count(9996), "10.0K");
    EXPECT_EQ(format_count(99960), "100K");
    EXPECT_EQ(format_bytes(1023), "1023B");
    EXPECT_EQ(format_seconds(0.0004), "<1ms");
    EXPECT_EQ(format_seconds(0), "0ms");
    EXPECT_EQ(format_seconds(9.996), "10.0s");
    EXPECT_EQ(format_seconds(59.96), "1m00s");
    EXPECT_EQ(format_seconds(3599.7), "1h00m");
    EXPECT_EQ(format_seconds(99.5 * 3600), "99h30m");
    EXPECT_EQ(format_seconds(300 * 3600), "12d12h");
    EXPECT_EQ(format_seconds(1e300), "?");
}

TEST(Format, OneAndMany) {
    EXPECT_EQ(counted(1, "rank"), "1 rank");
    EXPECT_EQ(counted(0, "rank"), "0 ranks");
    EXPECT_EQ(counted(21, "rank"), "21 ranks");
    EXPECT_EQ(counted_short(1, "token"), "1 token");
    EXPECT_EQ(counted_short(1e6, "token"), "1.00M tokens");
}

TEST(Columns, TheLeastImportantGoFirst) {
    const Columns line{{"step 1/9", 9}, {"loss 5.0", 8}, {"gn 1.2", 1}, {"lr 6e-4", 1}, {"eta 1h", 5}};
    EXPECT_EQ(join(line, 0), "step 1/9 | loss 5.0 | gn 1.2 | lr 6e-4 | eta 1h");
    EXPECT_EQ(join(line, 47), join(line, 0));
    EXPECT_EQ(join(line, 46), "step 1/9 | loss 5.0 | gn 1.2 | eta 1h");
    EXPECT_EQ(join(line, 30), "step 1/9 | loss 5.0 | eta 1h");
    EXPECT_EQ(join(line, 19), "step 1/9 | loss 5.0");
    EXPECT_EQ(join(line, 8), "step 1/9");
    EXPECT_EQ(join(line, 4), "step");
    for (int width = 1; width < 50; width++) EXPECT_LE(columns_of(join(line, width)), width);
    EXPECT_EQ(join({}, 10), "");
}

TEST(Columns, ColoursAndOtherScriptsTakeTheirPlace) {
    const Columns line{{"a", 2, "\x1b[1m"}, {"bc", 1}};
    EXPECT_EQ(join(line, 6, true), "\x1b[1ma\x1b[0m | bc");
    EXPECT_EQ(join(line, 5, true), "\x1b[1ma\x1b[0m");
    EXPECT_EQ(columns_of("naïve"), 5);
    EXPECT_EQ(columns_of("日本"), 4);
    EXPECT_EQ(join({{"日本語", 0}}, 5), "日本");  // never half a letter
    EXPECT_EQ(columns_of("\xff\xc3"), 2);         // no UTF-8
}

TEST(ProgressLine, Columns) {
    EXPECT_EQ(join(progress_columns("tokenize", "bytes", 1000, 420, 2, "31.2M tokens"), 0),
              "tokenize 42% | 210 bytes/s | 31.2M tokens | 2.76s left");
    EXPECT_EQ(join(progress_columns("tokenize", "bytes", 1000, 420, 2, "31.2M tokens"), 26),
              "tokenize 42% | 2.76s left");
    EXPECT_EQ(join(progress_columns("read", "", 0, 420, 2, "x"), 0), "read | x");
    EXPECT_EQ(join(progress_columns("read", "bytes", 10, 20, 2, ""), 0), "read 100% | 10 bytes/s | 0ms left");
    EXPECT_EQ(join(progress_columns("read", "bytes", 10, 1, 2, ""), 0), "read 10% | 0.50 bytes/s | 18.0s left");
}

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

TEST(LogFile, LinesOfSeveralProcessesAndErrors) {
    const Folder folder;
    const auto log = folder / "log.txt";
    append_to_log(log, "error", "not there: nothing is made");
    EXPECT_FALSE(std::filesystem::exists(log));
    LogFile first(log), second(log);
    EXPECT_TRUE(first.append("info", "one"));
    EXPECT_TRUE(second.append("warning", "two\nthree"));
    keep_errors_in(log, "rank 3:");
    testing::internal::CaptureStderr();
    print_error("four");
    print_warning("not kept");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "error: four\nwarning: not kept\n");
    keep_errors_in("");
    testing::internal::CaptureStderr();
    print_error("not kept either");
    testing::internal::GetCapturedStderr();
    std::string text = text_of(log), without_time;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        ASSERT_EQ(line.substr(4, 1) + line.substr(13, 1) + line.substr(19, 1), "-: ") << line;
        without_time += line.substr(20) + "\n";
    }
    EXPECT_EQ(without_time, "info one\nwarning two\nwarning three\nerror rank 3: four\n");
}

TEST(Version, IsKnown) {
    EXPECT_EQ(std::string(version()).find_first_not_of("0123456789."), std::string::npos);
    EXPECT_FALSE(std::string(commit()).empty());
}

}  // namespace
}  // namespace sluice
