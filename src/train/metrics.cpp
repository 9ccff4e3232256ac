#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/json.h"

namespace sluice {
namespace {

[[noreturn]] void disk_error(const std::filesystem::path& path) {
    fail(Exit::disk, path.string() + ": cannot write: " + std::strerror(errno));
}

// Bytes up to and with the last newline.
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

}  // namespace

std::string metrics_line(const MetricsRow& row) {
    std::string line = "{";
    for (const auto& [key, value] : row) {
        if (line.size() > 1) line += ", ";
        line += Json(key).dump() + ": ";
        char text[40];
        const double* x = std::get_if<double>(&value);
        if (x && !std::isfinite(*x))
            line += "null";
        else if (x)
            line.append(text, std::to_chars(text, text + sizeof text, *x).ptr);
        else
            line += std::to_string(std::get<int64_t>(value));
    }
    return line + "}";
}

Metrics::Metrics(const std::filesystem::path& path)
    : path_(path), fd_(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (fd_ < 0) disk_error(path);
    const off_t size = lseek(fd_, 0, SEEK_END), whole = whole_lines(fd_, size);
    if (whole != size && ftruncate(fd_, whole) != 0) disk_error(path);
}

Metrics::~Metrics() { close(fd_); }

void Metrics::append(const MetricsRow& row) {
    const std::string line = metrics_line(row) + "\n";
    if (write(fd_, line.data(), line.size()) != ssize_t(line.size())) disk_error(path_);
}

}  // namespace sluice
