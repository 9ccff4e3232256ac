// What is told to a person: lines, errors and warnings, and how far a long task has come. Lines fit a terminal's width;
// colours and lines that change in place appear on a terminal only, and neither with NO_COLOR nor on a dumb one.
#pragma once
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "cli/columns.h"

namespace sluice {

// What a stream leads to, now: a terminal may be resized. A terminal that stands behind mpirun is seen through it.
struct Screen {
    int columns = 0;       // 0: no terminal, or lines need not fit
    bool escapes = false;  // takes colours, and lines that are written over
};
Screen screen_of(std::FILE* stream);

// A line of its own.
void print_line(const std::string& line, std::FILE* to = stdout);
void print_line(const Columns& columns, std::FILE* to = stdout, int most = 0);  // columns at most; 0: no limit
// Until the next line of any kind, in place of the one shown before; nothing where a stream cannot do that.
void show_in_place(const Columns& columns, std::FILE* to = stdout);
void clear_in_place();

// On stderr, a line each: "error: LINE".
void print_error(const std::string& lines);
void print_warning(const std::string& lines);
// Errors that this process prints from now on are appended to this log too, "error WHO LINE", if it is there then.
void keep_errors_in(const std::filesystem::path& log, const std::string& who = "");

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
    Clock::time_point start_, next_;
};

// The line of a task that has done so much in so many seconds.
Columns progress_columns(const std::string& task, const std::string& unit, double total, double done, double seconds,
                         const std::string& more);

}  // namespace sluice
