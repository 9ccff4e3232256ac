#include "log/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/check.h"
#include "base/file.h"

namespace sluice {
namespace {

[[noreturn]] void disk_error(const std::filesystem::path& path) {
    fail(Exit::disk, path.string() + ": cannot write: " + std::strerror(errno));
}

// Bytes up to and including the last newline.
off_t whole_lines(int fd, off_t size) {
    char block[4096];
    while (size > 0) {
        const off_t begin = size > off_t(sizeof block) ? size - off_t(sizeof block) : 0;
        const ssize_t n = pread(fd, block, size_t(size - begin), begin);
        if (n <= 0) return size;
        for (ssize_t i = n; i-- > 0;)
            if (block[i] == '\n') return begin + i + 1;
        size = begin;
    }
    return 0;
}

int open_to_append(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) disk_error(path);
    return fd;
}

// Whether a row comes after `last`; a line without the key, such as that of a start, does not.
bool is_after(const std::string& line, int64_t last, const char* key) {
    const Json row = json_or_null(line);
    return row.is_object() && row.contains(key) && row[key].is_number_integer() && row[key].get<int64_t>() > last;
}

// Moves rows after `last` to a file beside this one, which is written first. False: there are none.
bool set_aside(const std::filesystem::path& path, int64_t last, const char* key) {
    std::string kept, later;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) (is_after(line, last, key) ? later : kept) += line + "\n";
    if (later.empty()) return false;
    const auto aside = path.parent_path() / (path.stem().string() + ".abandoned.jsonl");
    std::ofstream out(aside, std::ios::app);
    if (!(out << later << std::flush)) disk_error(aside);
    write_file(path, kept);
    return true;
}

std::string written(int64_t x) { return std::to_string(x); }
std::string written(double x) {
    if (!std::isfinite(x)) return "null";
    char text[40];
    return {text, std::to_chars(text, text + sizeof text, x).ptr};
}
std::string written(const Histogram& h) {
    std::string shares;
    for (const double share : h.shares) shares += (shares.empty() ? "" : ", ") + written(share);
    return R"({"low": )" + written(h.low) + R"(, "width": )" + written(h.width) + R"(, "shares": [)" + shares + "]}";
}

}  // namespace

std::string metrics_line(const MetricsRow& row) {
    std::string line = "{";
    for (const auto& [key, value] : row) {
        if (line.size() > 1) line += ", ";
        line += Json(key).dump() + ": " + std::visit([](const auto& v) { return written(v); }, value);
    }
    return line + "}";
}

Metrics::Metrics(const std::filesystem::path& path, int64_t last, const char* key)
    : path_(path), fd_(open_to_append(path)) {
    const off_t size = lseek(fd_, 0, SEEK_END), whole = whole_lines(fd_, size);
    if (whole != size && ftruncate(fd_, whole) != 0) disk_error(path);
    if (!set_aside(path, last, key)) return;
    close(fd_);
    fd_ = open_to_append(path);
}

Metrics::~Metrics() { close(fd_); }

void Metrics::begin(const Json& run) { append_line(Json{{"run", run}}.dump()); }
void Metrics::append(const MetricsRow& row) { append_line(metrics_line(row)); }

void Metrics::append_line(const std::string& text) {
    const std::string line = text + "\n";
    for (size_t at = 0; at < line.size();) {  // of a disk that becomes full only the second write tells why
        const ssize_t n = write(fd_, line.data() + at, line.size() - at);
        if (n < 0 && errno != EINTR) disk_error(path_);
        at += size_t(std::max<ssize_t>(n, 0));
    }
}

}  // namespace sluice
