// Where a run starts: anew, from its newest valid checkpoint, or from another's weights.
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
    std::optional<Checkpoint> checkpoint;  // to resume from, or (init_from) to take weights from
    bool weights_only = false;
    std::vector<std::string> warnings;    // checkpoints that were skipped, settings that changed
    std::optional<GoingBack> back;        // steps that the run leaves behind when it starts
    bool takes_rows = false;              // metrics.jsonl begins with the rows that led to another run's checkpoint
    std::optional<BranchStart> branch;    // of the checkpoints that it writes
    std::vector<std::string> moved_data;  // keys of data paths that are not those of the checkpoint
};

// Reads checkpoint.resume and init_from; writes nothing. A path in checkpoint.resume that the newest checkpoint already
// began from, with this config, goes on with that one: a command that is given again loses nothing. Errors:
// Failure(Exit::checkpoint): `never` in a folder that has checkpoints, no valid one where one is needed, a model that
// differs, a course that differs without allow_change: in one line all that differs, data too.
Origin find_origin(const Config& config, const std::filesystem::path& checkpoints);

// On rank 0: the place of its origin, as text for the other ranks; on those: the same origin from it. Errors:
// Failure(Exit::checkpoint) where a rank does not find it.
std::string origin_text(const Origin& origin);
Origin origin_at(const std::string& text);

// Compares what is read now with what the checkpoint says was read. Training data that differ are another course:
// Failure(Exit::checkpoint) without allow_change, else a warning; validation sets that differ are a warning.
void compare_data(const Config& config, const DataRecord& now, Origin& origin);

// For data that cannot be opened: where they are not what was read, that is why, and all that is not is told. Errors:
// Failure(Exit::checkpoint) without allow_change.
void refuse_lost_data(const Config& config, const Origin& origin);

// The config that a checkpoint was made with. Errors: Failure(Exit::checkpoint).
Config config_of(const Checkpoint& checkpoint);

// Keys that differ between a checkpoint's config and this one, as "key: OLD -> NEW", by what each says that a change of
// it does (config/attributes.h); those that change nothing are not listed.
struct ConfigChanges {
    std::vector<std::string> model, course, rounding;
};
ConfigChanges compare_configs(const Config& before, const Config& now);

}  // namespace sluice
