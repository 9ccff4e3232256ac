// A run holds its folder, and lets go of it however it ends.
#include "checkpoint/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <optional>

#include "base/file.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

// Another process, which holds a folder until it is told to end or killed.
class Holder {
 public:
    explicit Holder(const fs::path& folder) {
        if (pipe(ready_) != 0 || pipe(end_) != 0) throw std::runtime_error("no pipe");
        child_ = fork();
        char c = 'x';
        if (child_ == 0) {
            close(end_[1]);
            {
                const RunLock lock(folder);
                if (write(ready_[1], &c, 1) != 1) _exit(1);
                while (read(end_[0], &c, 1) == 1) {}
            }
            _exit(0);
        }
        close(end_[0]);
        if (read(ready_[0], &c, 1) != 1) throw std::runtime_error("nothing is held");
    }
    ~Holder() {
        if (child_ > 0) end(SIGKILL);
        close(ready_[0]), close(ready_[1]);
    }
    void end(int signal = 0) {
        if (signal) kill(child_, signal);
        close(end_[1]);
        waitpid(child_, nullptr, 0);
        child_ = 0;
    }
    pid_t pid() const { return child_; }

 private:
    int ready_[2], end_[2];
    pid_t child_ = 0;
};

TEST(RunLock, RefusesASecondRunAndNamesTheFirst) {
    const Folder folder;
    const fs::path run = folder / "a" / "b";
    Holder holder(run);
    fs::create_symlink(run, folder / "link");
    for (const fs::path& path : {run, folder / "link"}) {  // another name of it is no way in
        const std::string line = error_of([&] { RunLock lock(path, 0.1); });
        char host[256] = "";
        gethostname(host, sizeof host);
        EXPECT_NE(line.find("process " + std::to_string(holder.pid()) + " on " + host + ", since 20"),
                  std::string::npos)
            << line;
        EXPECT_NE(line.find("held by another run"), std::string::npos);
    }
    EXPECT_TRUE(fs::exists(run / ".lock"));
}

TEST(RunLock, EndsWithItsProcess) {
    const Folder folder;
    for (const int signal : {0, SIGKILL, SIGTERM}) {
        Holder holder(folder.path());
        holder.end(signal);
        EXPECT_EQ(fs::exists(folder / ".lock"), signal != 0) << "an end in order leaves no file";
        const RunLock lock(folder.path(), 0);
    }
    EXPECT_FALSE(fs::exists(folder / ".lock"));
    EXPECT_TRUE(fs::exists(folder.path()));
}

// The one before is killed, or ends in order and takes its file along.
class Ending : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(RunLock, Ending, testing::Values(SIGKILL, 0));

TEST_P(Ending, IsWaitedFor) {
    const Folder folder;
    Holder holder(folder.path());
    testing::internal::CaptureStderr();
    std::optional<RunLock> lock;
    std::thread ends([&] { usleep(200000), holder.end(GetParam()); });
    lock.emplace(folder.path(), 60);
    ends.join();
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("waiting 60 s for it to end"), std::string::npos) << told;
    EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
    // It is held by this process now: the file that is there is the locked one.
    const pid_t child = fork();
    if (child == 0) {
        const std::string line = error_of([&] { RunLock second(folder.path(), 0); });
        _exit(line.find(std::to_string(getppid())) == std::string::npos);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(RunLock, IsNotInherited) {
    const Folder folder;
    pid_t child = 0;
    {
        const RunLock lock(folder.path(), 0);
        child = fork();
        if (child == 0) execlp("sleep", "sleep", "60", nullptr), _exit(1);
    }
    { const RunLock again(folder.path(), 0); }
    EXPECT_EQ(kill(child, SIGKILL), 0);
    waitpid(child, nullptr, 0);
}

TEST(RunLock, LeavesNoFolderThatItMade) {
    const Folder folder;
    { const RunLock lock(folder / "made", 0); }
    EXPECT_FALSE(fs::exists(folder / "made"));
    {
        const RunLock lock(folder / "made", 0);
        std::ofstream(folder / "made" / "file") << "x";
    }
    EXPECT_TRUE(fs::exists(folder / "made" / "file"));
    EXPECT_FALSE(fs::exists(folder / "made" / ".lock"));
}

TEST(RunLock, HoldsASharedFolderOfCheckpointsToo) {
    const Folder folder;
    fs::create_directories(folder / "shared");
    for (const char* run : {"a", "b"}) {
        fs::create_directories(folder / run);
        fs::create_symlink("../shared", folder / run / "checkpoints");
    }
    EXPECT_EQ(hold_run(folder / "a", folder / "a" / "checkpoints").size(), 2u);
    Holder holder(folder / "shared");
    EXPECT_NE(error_of([&] { RunLock(folder / "b" / "checkpoints", 0.1); }).find("held by"), std::string::npos);
}

TEST(RunLock, WhatCannotBeOpenedIsADiskError) {
    const Folder folder;
    fs::create_directories(folder / ".lock");
    EXPECT_NE(error_of([&] { RunLock lock(folder.path(), 0); }, Exit::disk).find(".lock"), std::string::npos);
    std::ofstream(folder / "file") << "x";
    EXPECT_NE(error_of([&] { RunLock lock(folder / "file" / "run", 0); }, Exit::disk).find("file"), std::string::npos);
}

}  // namespace
}  // namespace sluice
