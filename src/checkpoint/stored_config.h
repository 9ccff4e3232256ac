// The config that a checkpoint was made with, read from its manifest alone.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "config/specs.h"

namespace sluice {

struct StoredConfig {
    std::string yaml;
    std::filesystem::path manifest;  // where it stands
};

// Of a step folder, or of the newest step below a run's folder or its checkpoints/ whose manifest can be read; files
// are not verified. Errors: Failure(Exit::config) where there is no checkpoint, Failure(Exit::checkpoint) where none
// can be read.
StoredConfig stored_config(const std::filesystem::path& folder);

// Of the checkpoint that a run with this config goes on from, as far as manifests tell. None: it starts anew, or what
// it would go on from cannot be read.
std::optional<Config> config_to_go_on_from(const Config& config);

}  // namespace sluice
