// Steps that a run sets aside when it goes back to an older one. They are moved, never deleted, into
// CHECKPOINTS_set_aside_1/, _2/, ... beside the folder of checkpoints, where no run looks for checkpoints.
// metrics.jsonl is copied there, and then keeps only the rows that led to the step that the run goes back to
// (checkpoint/branch_metrics.h). A crash in the middle is repaired at the next start. Only rank 0 calls these, and only
// while it has the lock of the run's folder (checkpoint/run_lock.h). Errors: Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct GoingBack {
    int64_t to = -1;              // the last step that stays; below 0: none does
    std::filesystem::path adopt;  // a step folder of another run to resume from, to which a link is made; empty: none
    int64_t adopt_step = 0;       // its step
    std::string metrics = {};     // the rows that led to it; go_back() fills them in
};

// Sets the steps after back.to aside. Returns the folder that they are in now.
std::filesystem::path go_back(const std::filesystem::path& checkpoints, const GoingBack& back);

// Sets one step aside, which another is about to replace. Returns where it is now.
std::filesystem::path set_aside(const std::filesystem::path& checkpoints, const std::filesystem::path& step);

// Removes a step. It is renamed first, so that a crash leaves no half checkpoint under its name. Files that cannot be
// removed yet (NFS keeps files that are being read) are a warning, and left to sweep().
void discard(const std::filesystem::path& step);

// Removes what a crash left in checkpoints/: unfinished and discarded steps, and an unfinished LATEST.
void sweep(const std::filesystem::path& checkpoints);

// Repairs what a crash left: finishes a go_back(), with a line in `warnings`, and then sweeps.
void recover(const std::filesystem::path& checkpoints, std::vector<std::string>& warnings);

}  // namespace sluice
