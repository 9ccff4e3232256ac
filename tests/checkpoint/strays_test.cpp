// What lies about checkpoints that is no part of them, links, folders that cannot be read, what pruning keeps, and what
// is never overwritten.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "base/check.h"
#include "checkpoint/set_aside.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

std::vector<std::string> names(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

TEST(Strays, InAStepAndBesideItAreNamedAndIgnored) {
    const Folder folder;
    const fs::path checkpoints = folder / "checkpoints";
    State state(1), loaded(0);
    save(checkpoints, state, 1);
    save(checkpoints, state, 2);
    const fs::path step = checkpoints / step_name(2);
    for (const char* name : {".nfs00001", ".DS_Store", "READ\nME", "manifest.json~", "rank-00000.safetensors.bak"})
        std::ofstream(step / name) << "x";
    fs::create_directory(step / "tmp");
    std::ofstream(checkpoints / "README") << "x";
    fs::create_directory(checkpoints / "step-30");
    fs::create_directory(checkpoints / "step-00000003.tmp");  // a save that goes on, or was cut off
    std::vector<std::string> warnings;
    const Checkpoint c = find_checkpoint(folder.path(), warnings);
    EXPECT_EQ(c.info.step, 2);
    load_checkpoint(c, loaded.list(), false);
    EXPECT_TRUE(loaded == state);
    ASSERT_EQ(warnings.size(), 2u);
    EXPECT_EQ(warnings[0], checkpoints.string() + ": ignored what is no checkpoint: README, step-30");
    EXPECT_EQ(warnings[1], step.string() +
                               ": ignored what its manifest does not list: .DS_Store, .nfs00001, READ?ME "
                               "and 3 more");
    warnings.clear();
    EXPECT_EQ(find_checkpoint(step, warnings).info.step, 2);
    EXPECT_EQ(warnings.size(), 1u);
    save(checkpoints, state, 4, 1, false, 2);
    EXPECT_EQ(names(checkpoints),
              (std::vector<std::string>{"LATEST", "README", "step-00000002", "step-00000004", "step-30"}));
}

TEST(Strays, WhatOthersCallTmpStays) {
    const Folder folder;
    for (const char* name : {"notes.tmp", "old.trash", "LATEST.tmp", "step-1.tmp", "step-00000009.trash"})
        std::ofstream(folder / name) << "x";
    sweep(folder.path());
    EXPECT_EQ(names(folder.path()), (std::vector<std::string>{"notes.tmp", "old.trash", "step-1.tmp"}));
}

// As caches lay them out: files are links to blobs, a step is a link to a folder elsewhere, checkpoints/ is a link.
TEST(Links, ToFilesStepsAndFoldersLoad) {
    const Folder folder;
    State state(3), loaded(0);
    save(folder / "store", state, 7);
    fs::create_directories(folder / "blobs");
    const fs::path stored = folder / "store" / step_name(7), elsewhere = folder / "elsewhere";
    fs::create_directories(elsewhere / step_name(7));
    int n = 0;
    for (const char* name : {"manifest.json", "rank-00000.safetensors"}) {
        const std::string blob = "blob" + std::to_string(n++);
        fs::rename(stored / name, folder / "blobs" / blob);
        fs::create_symlink("../../blobs/" + blob, elsewhere / step_name(7) / name);
    }
    fs::create_directories(folder / "linked");
    fs::create_symlink("../elsewhere/" + step_name(7), folder / "linked" / step_name(7));
    fs::create_directories(folder / "run");
    fs::create_symlink("../linked", folder / "run" / "checkpoints");
    for (const fs::path& path : {elsewhere / step_name(7), folder / "linked" / step_name(7), folder / "linked",
                                 folder / "run", folder / "run" / "checkpoints"}) {
        std::vector<std::string> warnings;
        loaded = State(0);
        load_checkpoint(find_checkpoint(path, warnings), loaded.list(), false);
        EXPECT_TRUE(loaded == state) << path;
        EXPECT_TRUE(warnings.empty()) << warnings[0];
    }
    save(folder / "run" / "checkpoints", state, 8, 1, false, 1);  // pruning takes the link, not what it leads to
    EXPECT_EQ(names(folder / "linked"), (std::vector<std::string>{"LATEST", "step-00000008"}));
    EXPECT_EQ(open_checkpoint(elsewhere / step_name(7)).info.step, 7);
}

TEST(Links, ThatLeadNowhereAreOneClearLine) {
    const Folder folder;
    fs::create_symlink("nowhere", folder / step_name(1));
    fs::create_symlink(step_name(2), folder / step_name(2));
    std::ofstream(folder / step_name(3)) << "a file";
    EXPECT_EQ(error_of([&] { open_checkpoint(folder / step_name(1)); }),
              (folder / step_name(1)).string() + ": is a link to nowhere: No such file or directory");
    EXPECT_NE(error_of([&] { open_checkpoint(folder / step_name(2)); }).find("Too many levels"), std::string::npos);
    EXPECT_EQ(error_of([&] { open_checkpoint(folder / step_name(3)); }),
              (folder / step_name(3)).string() + ": not a folder");
    State state(1);
    for (int64_t step : {1, 2, 3}) save(folder.path(), state, step);  // they make way
    EXPECT_EQ(names(folder.path()),
              (std::vector<std::string>{"LATEST", "step-00000001", "step-00000002", "step-00000003"}));
}

TEST(Unreadable, FoldersEndWith4AndALine) {
    const Folder folder;
    std::ofstream(folder / "file") << "x";
    fs::create_symlink("nowhere", folder / "dangling");
    fs::create_symlink("loop", folder / "loop");
    const auto refuse = [&](const fs::path& path, const char* why) {
        std::vector<std::string> ignored;
        EXPECT_NE(error_of([&] { list_checkpoints(path); }).find(why), std::string::npos) << path;
        EXPECT_NE(error_of([&] { recover(path, ignored); }).find(why), std::string::npos) << path;
    };
    refuse(folder / "file", "Not a directory");
    refuse(folder / "dangling", "is a link to nowhere: No such file or directory");
    refuse(folder / "loop", "Too many levels");
    refuse(folder / std::string(300, 'x'), "File name too long");
    EXPECT_TRUE(list_checkpoints(folder / "absent").empty());
    for (const char* name : {"file", "dangling", "loop"}) {  // as a run's checkpoints/
        fs::create_directories(folder / "run");
        fs::remove(folder / "run" / "checkpoints");
        fs::create_symlink(fs::path("..") / name, folder / "run" / "checkpoints");
        std::vector<std::string> ignored;
        EXPECT_NE(error_of([&] { find_checkpoint(folder / "run", ignored); }).find("cannot read"), std::string::npos);
    }
}

// Root reads everything: as another user, who may not.
TEST(Unreadable, FoldersOfOthersEndWith4AndALine) {
    if (getuid() != 0) GTEST_SKIP() << "needs root to become another";
    const Folder folder;
    fs::create_directories(folder / "run" / "checkpoints");
    chmod(folder.path().c_str(), 0755);
    chmod((folder / "run" / "checkpoints").c_str(), 0700);
    const pid_t child = fork();
    if (child == 0) {
        if (setuid(65534) != 0) _exit(1);
        const std::string line = error_of([&] {
            std::vector<std::string> ignored;
            find_checkpoint(folder / "run", ignored);
        });
        _exit(line.find("cannot read the folder: Permission denied") == std::string::npos ? 2 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

// Ten steps that were not finite, saved one by one: what they began from stays.
TEST(Prune, KeepsTheLastAppliedStep) {
    const Folder folder;
    State state(1);
    const auto step_names = [&] {
        auto all = names(folder.path());
        std::erase(all, "LATEST");
        return all;
    };
    for (int64_t step = 1; step <= 3; step++) save_skipped(folder.path(), state, step, 0, 2);
    for (int64_t step = 4; step <= 9; step++) save_skipped(folder.path(), state, step, step - 3, 2);
    EXPECT_EQ(step_names(), (std::vector<std::string>{"step-00000003", "step-00000008", "step-00000009"}));
    save_skipped(folder.path(), state, 10, 0, 2);
    EXPECT_EQ(step_names(), (std::vector<std::string>{"step-00000009", "step-00000010"}));
    for (int64_t step = 11; step <= 13; step++) save_skipped(folder.path(), state, step, step - 10, 1);
    EXPECT_EQ(step_names(), (std::vector<std::string>{"step-00000010", "step-00000013"}));
}

TEST(Prune, LooksForTheLastAppliedStepAmongTheValid) {
    const Folder folder;
    State state(1);
    save_skipped(folder.path(), state, 1, 0, 0);
    save_skipped(folder.path(), state, 2, 0, 0);
    fs::remove(folder / step_name(2) / "manifest.json");
    for (int64_t step = 3; step <= 5; step++) save_skipped(folder.path(), state, step, step - 2, 2);
    EXPECT_EQ(names(folder.path()),
              (std::vector<std::string>{"LATEST", "step-00000001", "step-00000004", "step-00000005"}));
}

TEST(Prune, LeavesAloneWhatLiesBeyond) {
    const Folder folder;
    State state(1);
    for (int64_t step : {1, 2, 50}) save(folder.path(), state, step);
    save(folder.path(), state, 3, 1, false, 2);
    EXPECT_EQ(names(folder.path()),
              (std::vector<std::string>{"LATEST", "step-00000002", "step-00000003", "step-00000050"}));
}

TEST(Overwritten, NeverIsAStepThatPassesItsHashes) {
    const Folder folder;
    const fs::path checkpoints = folder / "checkpoints";
    State state(1), other(2), loaded(0);
    save(checkpoints, state, 1);
    const auto written = fs::last_write_time(checkpoints / step_name(1) / "manifest.json");
    save(checkpoints, state, 1);  // the same once more
    EXPECT_EQ(fs::last_write_time(checkpoints / step_name(1) / "manifest.json"), written);
    EXPECT_EQ(names(folder.path()), std::vector<std::string>{"checkpoints"});
    save(checkpoints, other, 1);
    load_checkpoint(open_checkpoint(checkpoints / step_name(1)), loaded.list(), false);
    EXPECT_TRUE(loaded == other);
    load_checkpoint(open_checkpoint(folder / "checkpoints_set_aside_1" / step_name(1)), loaded.list(), false);
    EXPECT_TRUE(loaded == state);
}

}  // namespace
}  // namespace sluice
