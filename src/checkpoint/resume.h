// Where a run starts: from initial weights, from a checkpoint, or from the weights of another run's checkpoint.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/set_aside.h"
#include "config/specs.h"

namespace sluice {

struct Origin {
    std::optional<Checkpoint> checkpoint;  // none: initial weights
    bool weights_only = false;             // init_from: only the weights are read
    std::vector<std::string> warnings;     // checkpoints that were skipped, settings that changed
    std::optional<GoingBack> back;         // set if the run's later steps must be set aside when it starts
    bool takes_rows = false;               // metrics.jsonl begins with the rows that led to another run's checkpoint
    std::optional<BranchStart> branch;     // recorded in the checkpoints that the run writes
    std::vector<std::string> moved_data;   // "KEY: OLD -> NEW" of data paths that differ from the checkpoint's
};

// Reads checkpoint.resume and init_from; writes nothing. If the newest checkpoint already began from the path in
// checkpoint.resume, with this config, the run continues from the newest: a command that is repeated loses no steps.
// Errors: Failure(Exit::checkpoint) for `never` in a folder that has checkpoints, for no valid checkpoint where one is
// needed, and for a model, or without allow_change a course, that differs: one line with all differences, data
// included.
Origin find_origin(const Config& config, const std::filesystem::path& checkpoints);

// origin_text: on rank 0, its origin as a text for the other ranks. origin_at: on those, the same origin from the text.
// Errors: Failure(Exit::checkpoint) where a rank does not find the checkpoint.
std::string origin_text(const Origin& origin);
Origin origin_at(const std::string& text);

// Compares the data with those that the checkpoint recorded. Training data that differ would change the course:
// Failure(Exit::checkpoint) without allow_change, else a warning. Validation sets that differ are a warning.
void compare_data(const Config& config, const DataRecord& now, Origin& origin);

// For data that cannot be opened: if they differ from those that the checkpoint recorded, that is the better error,
// with all differences. Errors: Failure(Exit::checkpoint) without allow_change.
void refuse_lost_data(const Config& config, const Origin& origin);

// The config that a checkpoint was written with. Errors: Failure(Exit::checkpoint).
Config config_of(const Checkpoint& checkpoint);

// Keys that differ between a checkpoint's config and this one, as "key: OLD -> NEW", by what a change of the key
// affects (config/attributes.h). Keys that affect nothing of these are not listed.
struct ConfigChanges {
    std::vector<std::string> model, course, rounding;
};
ConfigChanges compare_configs(Config before, Config now);

}  // namespace sluice
