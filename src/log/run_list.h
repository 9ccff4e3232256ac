// The runs below a folder, as their files show them: config.yaml, metrics.jsonl, log.txt, checkpoints/.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/enum_names.h"

namespace sluice {

// running: a process holds its folder (checkpoint/run_lock.h). done: it has a checkpoint of the last step. partial: it
// can be resumed or started again. failed: its log ends in an error; diverged: in steps that were not finite. empty: it
// has no step. damaged: its files cannot be read.
enum class RunState { running, done, partial, diverged, failed, empty, damaged };
template <>
struct EnumNames<RunState> {
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
    std::optional<int64_t> step, steps;  // the last step logged or saved; steps of the whole run
    std::optional<double> loss;          // of the last row that has a loss
    std::vector<BestLoss> best;          // of each validation set, sorted by name
    double age = 0;                      // seconds since anything was written
    std::string why;                     // what could not be read, even if the rest could
};

// Folders of runs at and below `folder`, sorted, without runs within runs, links to other folders and hidden folders.
// Errors: Failure(Exit::config) where there is no such folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& folder);
// Never fails: a run that cannot be read is damaged.
RunSummary summarize_run(const std::filesystem::path& folder);

}  // namespace sluice
