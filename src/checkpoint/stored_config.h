// The config that a checkpoint was written with, read from its manifest alone.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "config/specs.h"

namespace sluice {

struct StoredConfig {
    std::string yaml;
    std::filesystem::path manifest;  // the file that it was read from
};

// The config of a step folder, or of the newest step of a run's folder or its checkpoints/ whose manifest can be read.
// Tensor files are not verified. Errors: Failure(Exit::config) where there is no checkpoint, Failure(Exit::checkpoint)
// where none can be read.
StoredConfig stored_config(const std::filesystem::path& folder);

// The config of the checkpoint that a run with this config would resume from, judged by manifests alone. None: it would
// not resume, or the manifest cannot be read.
std::optional<Config> config_to_go_on_from(const Config& config);

}  // namespace sluice
