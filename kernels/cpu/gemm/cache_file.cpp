#include "kernels/cpu/gemm/cache_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/check.h"
#include "base/file.h"
#include "base/machine.h"
#include "kernels/cpu/gemm/autotune.h"

namespace sluice {
namespace {

// Lines that are no choices are passed over: a crash or an editor may have left them.
GemmChoices read_choices() {
    GemmChoices choices;
    std::ifstream file(gemm_cache_path());
    for (std::string line; std::getline(file, line);) add_line(choices, line);
    return choices;
}

std::optional<GemmAlgorithm> find(const GemmKey& key) {
    const GemmChoices choices = read_choices();
    const auto it = choices.find(key);
    return it == choices.end() ? std::nullopt : std::optional(it->second);
}

// False: the file cannot be written.
bool keep(const GemmKey& key, GemmAlgorithm algorithm) {
    GemmChoices choices = read_choices();
    choices[key] = algorithm;
    std::string text;
    for (const auto& [k, a] : choices) text += to_line(k, a) + "\n";
    try {
        write_file(gemm_cache_path(), text);
    } catch (const Failure&) { return false; }
    return true;
}

// Held while it lives, if it could be had.
class FileLock {
 public:
    FileLock() {
        const auto path = gemm_cache_path();
        if (path.empty()) return;
        std::error_code ignored;
        std::filesystem::create_directories(path.parent_path(), ignored);
        file_ = ::open((path.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
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

std::filesystem::path gemm_cache_path() {
    const auto folder = cache_folder();
    return folder.empty() ? folder : folder / ("gemm-" + gemm_machine() + ".txt");
}

std::optional<GemmAlgorithm> GemmCacheFile::find_or_time(const GemmKey& key,
                                                         const std::function<GemmAlgorithm()>& time) {
    if (const auto found = find(key)) return found;
    if (!writable_) return {};
    const FileLock lock;
    if (const auto found = find(key)) return found;  // another process timed it meanwhile
    std::optional<GemmAlgorithm> timed;
    if (lock.held()) timed = time();
    writable_ = timed && keep(key, *timed);
    return writable_ ? timed : std::nullopt;
}

}  // namespace sluice
