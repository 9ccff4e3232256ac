// Where a run starts: anew, from its newest valid checkpoint, or from another's weights.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "train/checkpoint.h"

namespace sluice {

struct Origin {
    std::optional<Checkpoint> checkpoint;  // to resume from, or (init_from) to take weights from
    bool weights_only = false;
    std::vector<std::string> warnings;  // checkpoints that were skipped, settings that changed
};

// Reads checkpoint.resume and init_from. Errors: Failure(Exit::checkpoint): `never` in a folder that has checkpoints,
// no valid one where one is needed, a model that differs, a course that differs without allow_change.
Origin find_origin(const Config& config, const std::filesystem::path& checkpoints);

// The config that a checkpoint was made with. Errors: Failure(Exit::checkpoint).
Config config_of(const Checkpoint& checkpoint);

// Keys that differ between a checkpoint's config and this one, as "key: OLD -> NEW"; those under `model.`, those that
// change the course of training (optimizer, schedule, data, train.steps, train.batch, seed), the precision, and the
// harmless rest, which is not listed.
struct ConfigChanges {
    std::vector<std::string> model, course, rounding;
};
ConfigChanges compare_configs(const Config& before, const Config& now);

}  // namespace sluice
