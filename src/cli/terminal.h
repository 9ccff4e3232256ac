// Output for people: lines, errors, warnings, and the progress of long tasks. Lines fit the terminal's width. Colours
// and lines that change in place appear on terminals only, and not with NO_COLOR or on a dumb terminal.
#pragma once
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include "cli/columns.h"

namespace sluice {

// What is behind a stream at this moment, as a terminal may be resized; also if mpirun is between.
struct Screen {
    int columns = 0;       // 0: no terminal, or lines need not fit
    bool escapes = false;  // shows colours, and lines that are overwritten
};
Screen screen_of(std::FILE* stream);

// Prints a whole line.
void print_line(const std::string& line, std::FILE* to = stdout);
void print_line(const Columns& columns, std::FILE* to = stdout, int most = 0);  // most: of columns; 0: no limit
// Shown until the next line of any kind, in place of the one before; nothing where the stream cannot do that.
void show_in_place(const Columns& columns, std::FILE* to = stdout);
void clear_in_place();

// On stderr, one line each: "error: LINE".
void print_error(const std::string& lines);
void print_warning(const std::string& lines);
// From now on errors of this process are also appended to this log, as "error WHO LINE", if the file exists then.
void keep_errors_in(const std::filesystem::path& log, const std::string& who = "");

// "tokenize 42% | 12.3M bytes/s | 31.2M tokens | 1m20s left": on a terminal one line that changes; elsewhere a line
// after five seconds and then every ten. Cheap enough to call in a loop. Without a unit, `more` contains the rate.
class ProgressLine {
 public:
    ProgressLine(std::string task, std::string unit, double total, std::FILE* to = stdout);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine();  // finishes the line
    void at(double done, const std::string& more = "");

 private:
    using Clock = std::chrono::steady_clock;
    std::string task_, unit_;
    double total_;
    std::FILE* to_;
    Clock::time_point start_, next_;
};

// The line of a task that has done this much in this many seconds.
Columns progress_columns(const std::string& task, const std::string& unit, double total, double done, double seconds,
                         const std::string& more);

}  // namespace sluice
