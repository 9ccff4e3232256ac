// Folders of runs, told from what stands in them, whole or not.
#include "log/run_list.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/check.h"
#include "checkpoint/manifest.h"
#include "support/folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
}
void write_step(const fs::path& run, int64_t step, const std::string& config = "train:\n  steps: 20\n") {
    Manifest manifest;
    manifest.info.step = step;
    manifest.info.config_yaml = config;
    manifest.files["rank-00000.safetensors"] = {4, "hash"};
    manifest.tensors["a"] = {"F32", {1}, {{"rank-00000.safetensors", {{0}, {1}}}}};
    write(run / "checkpoints" / step_name(step) / "manifest.json", manifest_text(manifest));
}
bool write_byte(int fd, char byte) { return ::write(fd, &byte, 1) == 1; }
const std::string kTwenty = "train:\n  steps: 20\n  other: [of, some, version]\n";

class Runs : public testing::Test {
 protected:
    fs::path run(const std::string& name, const std::string& metrics = "", const std::string& config = kTwenty) {
        const fs::path path = folder_ / name;
        fs::create_directories(path / "checkpoints");
        write(path / "config.yaml", config);
        if (!metrics.empty()) write(path / "metrics.jsonl", metrics);
        return path;
    }
    RunSummary told(const std::string& name) { return summarize_run(folder_ / name); }
    std::string state(const std::string& name) { return enum_name(told(name).state); }
    Folder folder_;
};

TEST_F(Runs, StatesOfWholeFolders) {
    run("empty");
    run("begun", "{\"step\": 3, \"loss\": 2.5}\n");
    write_step(run("saved"), 10);
    write_step(run("done", "{\"step\": 20, \"loss\": 1.5}\n"), 20);
    write_step(run("shortened", "", "train: {steps: 10}\n"), 20);
    run("diverged", "{\"step\": 3, \"loss\": null, \"skipped\": 9}\n{\"step\": 3, \"skipped\": 10}\n");
    run("recovered", "{\"step\": 3, \"skipped\": 10}\n{\"step\": 4, \"loss\": 2, \"skipped\": 10}\n");
    write(run("failed", "{\"step\": 3, \"loss\": 2}\n") / "log.txt",
          "2026-01-01 10:00:00 info begun\n2026-01-01 10:00:00 error disk full\n");
    write(run("again", "{\"step\": 3, \"loss\": 2}\n") / "log.txt",
          "2026-01-01 10:00:00 error disk full\n2026-01-01 11:00:00 info an error of before\n");
    for (const auto& [name, expected] : {std::pair{"empty", "empty"},
                                         {"begun", "partial"},
                                         {"saved", "partial"},
                                         {"done", "done"},
                                         {"shortened", "done"},
                                         {"diverged", "diverged"},
                                         {"recovered", "partial"},
                                         {"failed", "failed"},
                                         {"again", "partial"}}) {
        EXPECT_EQ(state(name), expected) << name;
        EXPECT_EQ(told(name).why, "") << name;
    }
    EXPECT_EQ(told("begun").step, 3);
    EXPECT_EQ(told("begun").steps, 20);
    EXPECT_EQ(told("begun").loss, 2.5);
    EXPECT_EQ(told("saved").step, 10);
    EXPECT_FALSE(told("saved").loss);
    EXPECT_FALSE(told("empty").step);
    EXPECT_EQ(told("empty").steps, 20);
    EXPECT_EQ(told("shortened").steps, 10);
    fs::remove(folder_ / "saved/config.yaml");
    EXPECT_EQ(told("saved").steps, 20);  // the manifest's
}

TEST_F(Runs, LossesAreThoseOfTheLastRowOfAStep) {
    run("a",
        "{\"run\": {\"version\": \"1\"}}\n"
        "{\"step\": 5, \"loss\": 3, \"eval/v/loss\": 1.0, \"eval/w/loss\": 9}\n"
        "{\"step\": 10, \"loss\": 2.5, \"eval/v/loss\": 2.5, \"eval/w/loss\": 7, \"eval/v/perplexity\": 0}\n"
        "{\"step\": 5, \"loss\": 3, \"eval/v/loss\": 3.5}\n"
        "{\"step\": 15, \"loss\": 2.25, \"eval/v/loss\": 2.75, \"eval/w/loss\": null}\n"
        "{\"step\": 16, \"loss\": 2.0");  // being written
    const RunSummary a = told("a");
    EXPECT_EQ(a.why, "");
    EXPECT_EQ(a.step, 15);
    EXPECT_EQ(a.loss, 2.25);
    ASSERT_EQ(a.best.size(), 2u);
    EXPECT_EQ(a.best[0].set, "v");
    EXPECT_EQ(a.best[0].loss, 2.5);
    EXPECT_EQ(a.best[0].step, 10);
    EXPECT_EQ(a.best[1].set, "w");
    EXPECT_EQ(a.best[1].loss, 7);
}

TEST_F(Runs, WhatIsDamagedIsToldAsSuch) {
    write(run("config") / "config.yaml", "train: [1, 2\n");
    write(run("bytes") / "config.yaml", std::string("\xff\xfe\0\x01", 4));
    run("metrics", "{\"step\": 1, \"loss\": 2}\nnot json\n{\"step\": 2, \"loss\": 2}\n");
    run("types", "{\"step\": \"one\", \"loss\": []}\n");
    write(run("manifest") / "checkpoints/step-00000005/manifest.json", "{");
    fs::create_directories(run("nothing") / "checkpoints/step-00000005");
    fs::create_directories(run("folders") / "metrics.jsonl");
    fs::remove(run("pipe") / "config.yaml");
    ASSERT_EQ(mkfifo((folder_ / "pipe/config.yaml").c_str(), 0600), 0);  // nobody will ever write
    for (const char* name : {"config", "bytes", "metrics", "types", "manifest", "nothing", "folders", "pipe"}) {
        EXPECT_EQ(state(name), "damaged") << name;
        EXPECT_NE(told(name).why.find(name), std::string::npos) << told(name).why;
        EXPECT_EQ(told(name).why.find('\n'), std::string::npos) << told(name).why;
    }
    EXPECT_NE(told("metrics").why.find("metrics.jsonl:2"), std::string::npos) << told("metrics").why;
    // The step before serves.
    write_step(folder_ / "manifest", 4);
    EXPECT_EQ(state("manifest"), "partial");
    EXPECT_EQ(told("manifest").step, 4);
    EXPECT_NE(told("manifest").why.find("step-00000005"), std::string::npos);
    write(folder_ / "odd/checkpoints", "a file");
    write(folder_ / "odd/metrics.jsonl", "");
    EXPECT_EQ(state("odd"), "damaged");
}

TEST_F(Runs, AProcessThatHoldsTheFolderIsRunning) {
    write_step(run("a"), 10);
    write(folder_ / "a/.lock", "process 1\n");
    EXPECT_EQ(state("a"), "partial");  // left behind
    int ready[2], end[2];
    ASSERT_EQ(pipe(ready) + pipe(end), 0);
    const pid_t child = fork();
    if (child == 0) {
        const int fd = open((folder_ / "a/.lock").c_str(), O_RDWR);
        struct flock whole = {};
        whole.l_type = F_WRLCK;
        whole.l_whence = SEEK_SET;
        char byte = fcntl(fd, F_SETLK, &whole) == 0 ? 'y' : 'n';
        if (write_byte(ready[1], byte)) [[maybe_unused]]
            const ssize_t n = read(end[0], &byte, 1);
        _exit(0);
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    ASSERT_EQ(byte, 'y');
    EXPECT_EQ(state("a"), "running");
    EXPECT_EQ(state("a"), "running");  // asking takes nothing away
    ASSERT_TRUE(write_byte(end[1], 'x'));
    waitpid(child, nullptr, 0);
    EXPECT_EQ(state("a"), "partial");
}

TEST_F(Runs, AreFoundAtAnyDepth) {
    run("a");
    run("sweep/points/base/seed-1");
    run("sweep/points/base/seed-2");
    run("a/checkpoints/inner");  // of a itself
    run(".hidden");
    run("elsewhere/b");
    write(folder_ / "configs/config.yaml", kTwenty);  // no run's
    write(folder_ / "file", "");
    fs::create_directory_symlink(folder_ / "elsewhere/b", folder_ / "linked");
    fs::create_directory_symlink(folder_.path(), folder_ / "round");  // a circle
    std::string names;
    for (const auto& path : find_runs(folder_.path())) names += path.lexically_relative(folder_.path()).string() + " ";
    EXPECT_EQ(names, "a elsewhere/b linked sweep/points/base/seed-1 sweep/points/base/seed-2 ");
    EXPECT_EQ(find_runs(folder_ / "a").size(), 1u);
    EXPECT_EQ(find_runs(folder_ / "configs").size(), 0u);
    EXPECT_THROW(find_runs(folder_ / "nowhere"), Failure);
    EXPECT_THROW(find_runs(folder_ / "file"), Failure);
}

}  // namespace
}  // namespace sluice
