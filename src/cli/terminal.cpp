#include "cli/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <sstream>
#include <utility>

#include "base/format.h"
#include "cli/log_file.h"

namespace sluice {
namespace {

std::atomic<std::FILE*> in_place{nullptr};  // the stream that shows an unfinished line

std::mutex log_of_errors_mutex;
struct {
    std::filesystem::path path;
    std::string who;
} log_of_errors;

// Overwrites what the line shows, be it ours or another rank's.
const char* const kClear = "\r\x1b[K";

void print_each(const char* word, const char* colour, const std::string& lines) {
    clear_in_place();
    const bool escapes = screen_of(stderr).escapes;
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);)
        std::fprintf(stderr, "%s%s%s:%s %s\n", escapes ? kClear : "", escapes ? colour : "", word,
                     escapes ? "\x1b[0m" : "", line.c_str());
    std::fflush(stderr);
}

}  // namespace

void clear_in_place() {
    std::FILE* const to = in_place.exchange(nullptr);
    if (!to) return;
    std::fputs(kClear, to);
    std::fflush(to);
}

void print_line(const std::string& line, std::FILE* to) {
    clear_in_place();
    std::fputs((line + "\n").c_str(), to);
    std::fflush(to);
}

void print_line(const Columns& columns, std::FILE* to, int most) {
    const Screen screen = screen_of(to);
    const bool narrower = screen.columns > 0 && (most == 0 || screen.columns < most);
    print_line(join(columns, narrower ? screen.columns : most, screen.escapes), to);
}

void show_in_place(const Columns& columns, std::FILE* to) {
    const Screen screen = screen_of(to);
    if (!screen.escapes) return;
    if (in_place != to) clear_in_place();
    in_place = to;
    std::fputs((kClear + join(columns, screen.columns, true)).c_str(), to);
    std::fflush(to);
}

void print_error(const std::string& lines) {
    const std::string& said = lines.empty() ? "unknown" : lines;
    print_each("error", "\x1b[31m", said);
    const std::lock_guard lock(log_of_errors_mutex);
    if (!log_of_errors.path.empty()) append_to_log(log_of_errors.path, "error" + log_of_errors.who, said);
}
void print_warning(const std::string& lines) { print_each("warning", "\x1b[33m", lines); }

void keep_errors_in(const std::filesystem::path& log, const std::string& who) {
    const std::lock_guard lock(log_of_errors_mutex);
    log_of_errors = {log, who.empty() ? "" : " " + who};
}

// ---------------------------------------------------------------- progress
Columns progress_columns(const std::string& task, const std::string& unit, double total, double done, double seconds,
                         const std::string& more) {
    const double rate = done / seconds;
    Columns columns{{task, 4}};
    if (total > 0) columns[0].text += fmt::format(" {}%", int(100 * std::min(1.0, done / total)));
    if (!unit.empty())
        columns.push_back(
            {fmt::format("{} {}/s", rate < 10 ? fmt::format("{:.2f}", rate) : format_count(rate), unit), 2});
    if (!more.empty()) columns.push_back({more, 1});
    if (total > 0 && rate > 0) columns.push_back({format_seconds(std::max(0.0, total - done) / rate) + " left", 3});
    return columns;
}

ProgressLine::ProgressLine(std::string task, std::string unit, double total, std::FILE* to)
    : task_(std::move(task)),
      unit_(std::move(unit)),
      total_(total),
      to_(to),
      start_(Clock::now()),
      next_(start_ + std::chrono::seconds(screen_of(to).escapes ? 1 : 5)) {}

ProgressLine::~ProgressLine() {
    if (in_place == to_) clear_in_place();
}

void ProgressLine::at(double done, const std::string& more) {
    const auto now = Clock::now();
    if (now < next_) return;
    const bool escapes = screen_of(to_).escapes;
    next_ = now + std::chrono::milliseconds(escapes ? 200 : 10000);
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const Columns columns = progress_columns(task_, unit_, total_, done, seconds, more);
    escapes ? show_in_place(columns, to_) : print_line(columns, to_);
}

}  // namespace sluice
