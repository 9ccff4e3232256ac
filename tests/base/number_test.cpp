// Texts that are numbers, and texts that some reader of numbers would take for one.
#include "base/number.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Numbers, AreReadWhole) {
    int64_t whole = 7;
    for (const auto& [text, value] : {std::pair{"0", int64_t{0}},
                                      {"-5", -5},
                                      {"524_288", 524288},
                                      {"2e9", 2'000'000'000},
                                      {"9223372036854775807", INT64_MAX}}) {
        EXPECT_EQ(read_number(text, whole), "");
        EXPECT_EQ(whole, value);
    }
    double number = 7;
    for (const auto& [text, value] :
         {std::pair{"0", 0.0}, {"-5", -5.0}, {"0.7", 0.7}, {".5", 0.5}, {"1e-3", 1e-3}, {"4E2", 400.0}}) {
        EXPECT_EQ(read_number(text, number), "");
        EXPECT_EQ(number, value);
    }
}

TEST(Numbers, NothingElseIsRead) {
    for (const char* text : {"",    " ",    " 5",       "5 ",   "5x",    "5 6",   "nan",    "NaN",  "-nan",
                             "inf", "-inf", "infinity", "0x10", "0x1p3", "1e999", "-1e999", "010",  "+5",
                             "1e",  "e5",   "--5",      "5,0",  "5\n",   "\t5",   "1e-999", "five", "1__000"}) {
        int64_t whole = 7;
        double number = 7;
        EXPECT_NE(read_number(text, whole), "") << text;
        const std::string why = read_number(text, number);
        EXPECT_NE(why, "") << text;
        EXPECT_EQ(why.find("1024s"), std::string::npos) << text;
        EXPECT_EQ(whole, 7) << text;
        EXPECT_EQ(number, 7) << text;
    }
    for (const char* text : {"1.5", "99999999999999999999", "-9223372036854775809", "1e19"}) {
        int64_t whole = 7;
        EXPECT_NE(read_number(text, whole), "") << text;
        EXPECT_EQ(whole, 7) << text;
    }
    int64_t whole = 7;
    EXPECT_EQ(read_number("", whole), "'' is not an integer in decimal digits");
    EXPECT_NE(read_number("4k", whole).find("write the digits"), std::string::npos);
}

}  // namespace
}  // namespace sluice
