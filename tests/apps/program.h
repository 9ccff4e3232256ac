// The program as its users run it, in a folder of its own with a config and a shard of tokens.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/token_shard.h"
#include "support/folder.h"

namespace sluice {

namespace fs = std::filesystem;

inline const char* const kConfig = R"(
run: {name: a, seed: 3}
model:
  layers: 2
  hidden: 32
  heads: 2
  vocab: 97
  ffn: {hidden: 48}
  gates: [{position: sdpa}, {position: value, granularity: headwise, bias: true}]
data:
  train: [{path: train.bin}]
  validation: [{name: held, path: train.bin}]
  sequence_length: 16
train: {steps: 12, batch: 4, micro_batch: 1}
optimizer: {lr: 0.01}
schedule: {warmup_steps: 8}
checkpoint: {every: 4, keep: 0}
log: {every: 1}
)";

class Program : public testing::Test {
 protected:
    void SetUp() override {
        std::ofstream(folder_ / "c.yaml") << kConfig;
        std::vector<int32_t> tokens(16 * 25 + 1);  // 25 samples: 12 steps of 4 cross the epoch
        for (size_t i = 0; i < tokens.size(); i++) tokens[i] = int32_t((i * i + 3 * i) % 97);
        write_shard(folder_ / "train.bin", tokens, 97);
    }
    struct Ended {
        int code;
        std::string out, err;
    };
    Ended run(const std::string& arguments, int ranks = 1) {
        const std::string launch = ranks > 1 ? "mpirun -n " + std::to_string(ranks) + " " : "";
        const std::string command =
            "cd '" + folder_.path().string() + "' && " + launch + "'" SLUICE_PROGRAM "' " + arguments + " >out 2>err";
        const int status = std::system(command.c_str());
        return {WEXITSTATUS(status), text("out"), text("err")};
    }
    std::string text(const std::string& name) {
        std::ostringstream text;
        text << std::ifstream(folder_ / name).rdbuf();
        return text.str();
    }
    // The last row of each step: loss, gradient norm and lr, as written.
    std::vector<std::string> course(const std::string& name) {
        std::map<int64_t, std::string> rows;
        std::istringstream lines(text("runs/" + name + "/metrics.jsonl"));
        for (std::string line; std::getline(lines, line);) {
            const Json row = parse_json(line);
            if (row.contains("loss"))
                rows[row["step"].get<int64_t>()] =
                    row["loss"].dump() + " " + row["grad_norm"].dump() + " " + row["lr"].dump();
        }
        std::vector<std::string> course;
        for (const auto& [step, row] : rows) course.push_back(row);
        return course;
    }
    // The rows of a run's metrics that have a key.
    std::vector<Json> rows_with(const std::string& key, const std::string& name = "a") {
        std::vector<Json> rows;
        std::istringstream lines(text("runs/" + name + "/metrics.jsonl"));
        for (std::string line; std::getline(lines, line);)
            if (Json row = parse_json(line); row.contains(key)) rows.push_back(row);
        return rows;
    }
    // Of a run's checkpoints; -1: it has none.
    int64_t newest_step(const std::string& name) {
        int64_t newest = -1;
        for (const auto& entry : fs::directory_iterator(folder_ / "runs" / name / "checkpoints"))
            if (const std::string step = entry.path().filename(); step.starts_with("step-"))
                newest = std::max<int64_t>(newest, std::stoll(step.substr(5)));
        return newest;
    }
    std::string digest(const std::string& name, int64_t step) {
        char path[80];
        std::snprintf(path, sizeof path, "runs/%s/checkpoints/step-%08lld/manifest.json", name.c_str(),
                      (long long)step);
        return parse_json(text(path))["digest"].get<std::string>();
    }
    Folder folder_;
};

}  // namespace sluice
