// log.txt: lines with their time, from one process or several. A line is a single write at the end of the file, so that
// lines of several processes do not mix.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

class LogFile {
 public:
    // Appends to an existing file. Errors: Failure(Exit::disk).
    explicit LogFile(const std::filesystem::path& path);
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
    ~LogFile();
    // Appends "2026-03-01 12:00:00 LEVEL LINE" for each line. False: the disk did not accept it.
    bool append(const std::string& level, const std::string& lines);

 private:
    int fd_;
};

// Appends to an existing file, if possible: for the last error of a process.
void append_to_log(const std::filesystem::path& path, const std::string& level, const std::string& lines);

}  // namespace sluice
