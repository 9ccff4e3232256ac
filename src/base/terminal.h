// What is told to a person: errors and warnings, and how far a long task has come. Colours and carriage returns only on
// a terminal; no colours where NO_COLOR is set.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

namespace sluice {

// On stderr, a line each: "error: LINE".
void print_error(const std::string& lines);
void print_warning(const std::string& lines);

// "tokenize 42% | 12.3M bytes/s | 31.2M tokens | 1m20s left": on a terminal one line that changes, elsewhere a line
// after five seconds and then every ten. Cheap enough to call in a loop. Without a unit the rate is left to `more`.
class ProgressLine {
 public:
    ProgressLine(std::string task, std::string unit, double total, std::FILE* to = stdout);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine();  // leaves no half line behind
    void at(double done, const std::string& more = "");

 private:
    using Clock = std::chrono::steady_clock;
    std::string task_, unit_;
    double total_;
    std::FILE* to_;
    bool terminal_, shown_ = false;
    Clock::time_point start_, next_;
};

}  // namespace sluice
