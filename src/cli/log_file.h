// log.txt: lines with their time, kept by one process or several. A line is one write at the file's end, so that lines
// of several processes do not run into one another.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

class LogFile {
 public:
    // Goes on after what is there. Errors: Failure(Exit::disk).
    explicit LogFile(const std::filesystem::path& path);
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
    ~LogFile();
    // "2026-03-01 12:00:00 LEVEL LINE" of each line. False where the disk did not take it.
    bool append(const std::string& level, const std::string& lines);

 private:
    int fd_;
};

// To a file that is there, as well as may be: for the last words of a process.
void append_to_log(const std::filesystem::path& path, const std::string& level, const std::string& lines);

}  // namespace sluice
