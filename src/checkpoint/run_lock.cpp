#include "checkpoint/run_lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>

#include "base/check.h"
#include "base/file.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr auto kPause = std::chrono::milliseconds(50);

std::string host_name() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return name;
}

}  // namespace

RunLock::RunLock(const fs::path& folder, double wait, const std::string& what)
    : folder_(folder), path_(folder / kLockName) {
    made_ = !is_there(folder);
    make_folders(folder);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait);
    bool warned = false;
    for (;;) {
        const Taken taken = take();
        if (taken == Taken::yes) break;
        if (taken == Taken::gone) continue;
        const std::string who = holder();
        if (std::chrono::steady_clock::now() >= end)
            fail(Exit::checkpoint, folder.string() + ": held by another " + what + ", " + who +
                                       ": wait until it ends or end it, or choose another " + what + ".name");
        if (!warned)
            print_warning(
                fmt::format("{}: still held by {}: waiting {:g} s for it to end", folder.string(), who, wait));
        warned = true;
        std::this_thread::sleep_for(kPause);
    }
    if (locks_) sign();
}

RunLock::~RunLock() {
    if (fd_ < 0) return;
    if (locks_) unlink(path_.c_str());
    close(fd_);  // releases the lock
    if (made_) rmdir(folder_.c_str());
}

RunLock::Taken RunLock::take() {
    if (fd_ < 0) fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ < 0)
        fail(Exit::disk, path_.string() + ": cannot open it to hold the run's folder: " + std::strerror(errno));
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (fcntl(fd_, F_SETLK, &whole) != 0) {
        if (errno == EINTR) return Taken::gone;
        if (errno == EACCES || errno == EAGAIN) return Taken::no;
        print_warning(path_.string() + ": this file system has no locks (" + std::strerror(errno) +
                      "): nothing keeps a second run out of the folder");
        locks_ = false;
        return Taken::yes;
    }
    // The lock counts only if the path still names the file that was locked.
    struct stat mine = {}, there = {};
    if (fstat(fd_, &mine) == 0 && stat(path_.c_str(), &there) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev)
        return Taken::yes;
    close(fd_);
    fd_ = -1;
    return Taken::gone;
}

void RunLock::sign() {
    const std::string line = fmt::format("process {} on {}, since {:%Y-%m-%d %H:%M:%S} UTC\n", getpid(), host_name(),
                                         fmt::gmtime(std::time(nullptr)));
    // On a full disk the name is lost, but not the lock.
    if (ftruncate(fd_, 0) != 0 || pwrite(fd_, line.data(), line.size(), 0) < 0) return;
}

// The holder may not have written its line yet.
std::string RunLock::holder() const {
    char text[512];
    const ssize_t n = pread(fd_, text, sizeof text, 0);
    std::string line(text, size_t(n > 0 ? n : 0));
    line.resize(std::min(line.size(), line.find('\n')));
    return line.empty() ? "a process that has not said which" : line;
}

std::vector<std::unique_ptr<RunLock>> hold_run(const fs::path& folder, const fs::path& checkpoints, double wait) {
    std::vector<std::unique_ptr<RunLock>> locks;
    locks.push_back(std::make_unique<RunLock>(folder, wait));
    std::error_code error;
    if (fs::is_symlink(checkpoints, error) && is_folder(checkpoints))
        locks.push_back(std::make_unique<RunLock>(checkpoints, wait));
    return locks;
}

}  // namespace sluice
