// A run locks its folder: FOLDER/.lock is locked until the process ends, in whatever way, and names that process. It is
// a record lock (fcntl), which works between hosts on NFS; a child process does not inherit it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

constexpr char kLockName[] = ".lock";
constexpr double kLockWait = 5;  // seconds that a run waits for another one that is still ending

class RunLock {
 public:
    // Makes the folder if it is missing, and locks it. Without locks in the file system it only warns. Errors:
    // Failure(Exit::checkpoint) when another process still has the lock after `wait` seconds, with its host and process
    // id; Failure(Exit::disk) when the file cannot be opened.
    // what: holds such folders, for the error.
    explicit RunLock(const std::filesystem::path& folder, double wait = kLockWait, const std::string& what = "run");
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;
    ~RunLock();  // removes the file, and the folder if it made it and it is still empty

 private:
    enum class Taken { yes, no, gone };  // gone: try again; its holder removed the file at its end
    Taken take();
    void sign();                 // writes who holds the lock into the file
    std::string holder() const;  // reads it

    std::filesystem::path folder_, path_;
    int fd_ = -1;
    bool made_ = false;  // this object made the folder
    bool locks_ = true;  // the file system has locks
};

// The locks of a run: on its folder and, if checkpoints/ is a link, on the folder that it points to, which other runs
// may use too. Errors: as above.
std::vector<std::unique_ptr<RunLock>> hold_run(const std::filesystem::path& folder,
                                               const std::filesystem::path& checkpoints, double wait = kLockWait);

}  // namespace sluice
