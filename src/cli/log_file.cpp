#include "cli/log_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <sstream>

#include "base/check.h"

namespace sluice {
namespace {

bool append_to(int fd, const std::string& level, const std::string& lines) {
    const std::time_t now = std::time(nullptr);
    std::tm at = {};
    localtime_r(&now, &at);
    char time[32];
    std::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &at);
    std::string text;
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);) text += fmt::format("{} {} {}\n", time, level, line);
    return write(fd, text.data(), text.size()) == ssize_t(text.size());
}

}  // namespace

LogFile::LogFile(const std::filesystem::path& path)
    : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
    if (fd_ < 0) fail(Exit::disk, path.string() + ": cannot write: " + std::strerror(errno));
}

LogFile::~LogFile() { close(fd_); }

bool LogFile::append(const std::string& level, const std::string& lines) { return append_to(fd_, level, lines); }

void append_to_log(const std::filesystem::path& path, const std::string& level, const std::string& lines) {
    const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return;
    append_to(fd, level, lines);
    close(fd);
}

}  // namespace sluice
