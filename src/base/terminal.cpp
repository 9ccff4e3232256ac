#include "base/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "base/format.h"

namespace sluice {
namespace {

bool is_terminal(std::FILE* file) { return isatty(fileno(file)) == 1; }

bool colours(std::FILE* file) {
    const char* none = std::getenv("NO_COLOR");
    return is_terminal(file) && !(none && *none);
}

void print_each(const char* word, const char* colour, const std::string& lines) {
    const bool coloured = colours(stderr);
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);)
        std::fprintf(stderr, "%s%s:%s %s\n", coloured ? colour : "", word, coloured ? "\x1b[0m" : "", line.c_str());
    std::fflush(stderr);
}

}  // namespace

void print_error(const std::string& lines) { print_each("error", "\x1b[31m", lines.empty() ? "unknown" : lines); }
void print_warning(const std::string& lines) { print_each("warning", "\x1b[33m", lines); }

ProgressLine::ProgressLine(std::string task, std::string unit, double total, std::FILE* to)
    : task_(std::move(task)),
      unit_(std::move(unit)),
      total_(total),
      to_(to),
      terminal_(is_terminal(to)),
      start_(Clock::now()),
      next_(start_ + std::chrono::seconds(terminal_ ? 1 : 5)) {}

ProgressLine::~ProgressLine() {
    if (terminal_ && shown_) std::fprintf(to_, "\r\x1b[K"), std::fflush(to_);
}

void ProgressLine::at(double done, const std::string& more) {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(terminal_ ? 200 : 10000);
    shown_ = true;
    const double seconds = std::chrono::duration<double>(now - start_).count(), rate = done / seconds;
    std::string line = task_;
    if (total_ > 0) line += " " + std::to_string(int(100 * std::min(1.0, done / total_))) + "%";
    if (!unit_.empty())
        line += " | " + (rate < 10 ? std::to_string(rate).substr(0, 4) : format_count(rate)) + " " + unit_ + "/s";
    if (!more.empty()) line += " | " + more;
    if (total_ > 0 && rate > 0) line += " | " + format_seconds(std::max(0.0, total_ - done) / rate) + " left";
    std::fprintf(to_, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
    std::fflush(to_);
}

}  // namespace sluice
