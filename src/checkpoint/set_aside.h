// Steps that a run leaves behind when it goes back to an older one: moved, never deleted, into
// CHECKPOINTS_set_aside_1/, _2/, ... beside the folder of checkpoints, where nothing counts them. metrics.jsonl goes
// there as a copy, and keeps the rows of the course that the run is on: of a step from elsewhere those that led to it
// (train/branch_metrics.h). A crash in the middle is made good at the next start. All of it is for rank 0 of a run that
// holds its folder (train/run_lock.h). Errors: Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct GoingBack {
    int64_t to = -1;              // the last step that stays; below 0: none
    std::filesystem::path adopt;  // a step folder from elsewhere to go on from: a link to it stays; empty: none
    int64_t adopt_step = 0;       // which step that is
    std::string metrics = {};     // the rows that led to it, as go_back() finds them
};

// Returns the folder that took the steps.
std::filesystem::path go_back(const std::filesystem::path& checkpoints, const GoingBack& back);

// One step that another is about to replace. Returns where it is now.
std::filesystem::path set_aside(const std::filesystem::path& checkpoints, const std::filesystem::path& step);

// Removes a step: at once as far as its name goes, so that a crash leaves no half checkpoint. What cannot be removed
// yet (NFS keeps files that are still read) is told, and left to sweep().
void discard(const std::filesystem::path& step);

// What a crash left in checkpoints/: unfinished or discarded steps, LATEST's next text.
void sweep(const std::filesystem::path& checkpoints);

// Makes good what a crash left: finishes going back (a line of it in `warnings`), then sweeps.
void recover(const std::filesystem::path& checkpoints, std::vector<std::string>& warnings);

}  // namespace sluice
