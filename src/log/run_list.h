// The runs below a folder, told from what they left there: config.yaml, metrics.jsonl, log.txt, checkpoints/.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/words.h"

namespace sluice {

// running: a process holds its folder (train/run_lock.h). done: a checkpoint of the last step. partial: something of
// it, to go on from or to start anew. failed: its log ends in an error, diverged: in steps that were not finite. empty:
// a folder and no step. damaged: what it left cannot be read.
enum class RunState { running, done, partial, diverged, failed, empty, damaged };
template <>
struct Words<RunState> {
    static constexpr std::pair<const char*, RunState> all[] = {
        {"running", RunState::running},   {"done", RunState::done},     {"partial", RunState::partial},
        {"diverged", RunState::diverged}, {"failed", RunState::failed}, {"empty", RunState::empty},
        {"damaged", RunState::damaged}};
};

struct BestLoss {
    std::string set;
    double loss;
    int64_t step;
};

struct RunSummary {
    std::filesystem::path folder;
    RunState state = RunState::empty;
    std::optional<int64_t> step, steps;  // the last one logged or saved; of the whole run
    std::optional<double> loss;          // of the last row that has one
    std::vector<BestLoss> best;          // of each validation set, in the order of their names
    double age = 0;                      // seconds since anything was written
    std::string why;                     // what could not be read, also where the rest could
};

// Folders of runs at and below `folder`, sorted. Runs within runs, links to other folders and what is hidden are left
// out. Errors: Failure(Exit::config) where there is no such folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& folder);
// Never fails: what cannot be read is damaged.
RunSummary summarize_run(const std::filesystem::path& folder);

}  // namespace sluice
