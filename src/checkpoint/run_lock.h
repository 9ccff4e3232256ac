// A run holds its folder: a lock on FOLDER/.lock that ends with the process, however that ends. The file names who
// holds it. It is a record lock (fcntl), which NFS carries between hosts; a child process does not inherit it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

constexpr char kLockName[] = ".lock";
constexpr double kLockWait = 5;  // seconds that a run waits for one that is still ending

class RunLock {
 public:
    // The folder is made where it is missing. Errors: Failure(Exit::checkpoint) when another process still holds the
    // folder after `wait` seconds, with its host and number; Failure(Exit::disk) when the file cannot be opened. Where
    // the file system has no locks this warns and goes on.
    explicit RunLock(const std::filesystem::path& folder, double wait = kLockWait);
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;
    ~RunLock();  // removes the file, and a folder that it made and that is still empty

 private:
    enum class Taken { yes, no, gone };  // gone: the file was removed meanwhile, as its holder does at the end
    Taken take();
    void sign();
    std::string holder() const;

    std::filesystem::path folder_, path_;
    int fd_ = -1;
    bool made_ = false;  // the folder
    bool locks_ = true;  // the file system has them
};

// The locks of a run: on its folder, and where checkpoints/ is a link to a folder, on that too: runs may share it.
// Errors: as above.
std::vector<std::unique_ptr<RunLock>> hold_run(const std::filesystem::path& folder,
                                               const std::filesystem::path& checkpoints, double wait = kLockWait);

}  // namespace sluice
