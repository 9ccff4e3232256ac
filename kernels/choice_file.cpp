#include "kernels/choice_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/file.h"

namespace sluice {
namespace {

using std::filesystem::path;
using Match = std::function<bool(const std::string&)>;

std::vector<std::string> lines_of(const path& file) {
    std::vector<std::string> lines;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::optional<std::string> find(const path& file, const Match& is_it) {
    std::optional<std::string> found;
    for (const std::string& line : lines_of(file))
        if (is_it(line)) found = line;
    return found;
}

// False: the file cannot be written.
bool keep(const path& file, const std::string& choice, const Match& is_it) {
    std::string text;
    for (const std::string& line : lines_of(file))
        if (!is_it(line)) text += line + "\n";
    try {
        write_file(file, text + choice + "\n");
    } catch (const Failure&) { return false; }
    return true;
}

// Held while it lives, if it could be had.
class FileLock {
 public:
    explicit FileLock(const path& of) {
        if (of.empty()) return;
        std::error_code ignored;
        std::filesystem::create_directories(of.parent_path(), ignored);
        file_ = ::open((of.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (file_ >= 0) held_ = wait();
    }
    ~FileLock() {
        if (file_ >= 0) ::close(file_);
    }
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    bool held() const { return held_; }

 private:
    // A process that holds it for longer than two minutes has been stopped and is not timing.
    bool wait() const {
        for (int i = 0; i < 12000; i++) {
            if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return true;
            if (errno != EWOULDBLOCK) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

    int file_ = -1;
    bool held_ = false;
};

}  // namespace

std::optional<std::string> ChoiceFile::find_or_time(const Match& is_it,
                                                    const std::function<std::optional<std::string>()>& time) {
    const path file = path_();
    if (const auto found = find(file, is_it)) return found;
    if (!writable_) return {};
    const FileLock lock(file);
    if (const auto found = find(file, is_it)) return found;  // another process timed it meanwhile
    writable_ = lock.held();
    if (!writable_) return {};
    const std::optional<std::string> timed = time();
    if (!timed) return {};
    writable_ = keep(file, *timed, is_it);
    return writable_ ? timed : std::nullopt;
}

}  // namespace sluice
