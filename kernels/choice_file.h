// The file that keeps the choices of one library on one kind of machine (autotune.h), for all runs: a line a choice.
// Whoever times holds a lock beside it, so that processes neither choose differently nor disturb a timing.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace sluice {

// To be used by one thread at a time.
class ChoiceFile {
 public:
    // path(): of the file, asked for at each use; empty where there is no cache folder.
    explicit ChoiceFile(std::function<std::filesystem::path()> path) : path_(std::move(path)) {}

    // The file's last line for which is_it() holds, else what time() returns, which is kept there in place of such
    // lines. Nothing where time() finds nothing, and where the file cannot be locked or written: another process might
    // then choose differently. Once that is so, time() is not called any more.
    std::optional<std::string> find_or_time(const std::function<bool(const std::string& line)>& is_it,
                                            const std::function<std::optional<std::string>()>& time);

 private:
    std::function<std::filesystem::path()> path_;
    bool writable_ = true;  // as far as is known
};

}  // namespace sluice
