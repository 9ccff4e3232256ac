// The config that a checkpoint was made with, read from its manifest alone.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

struct StoredConfig {
    std::string yaml;
    std::filesystem::path manifest;  // where it stands
};

// Of a step folder, or of the newest step below a run's folder or its checkpoints/ whose manifest can be read; files
// are not verified. Errors: Failure(Exit::config) where there is no checkpoint, Failure(Exit::checkpoint) where none
// can be read.
StoredConfig stored_config(const std::filesystem::path& folder);

}  // namespace sluice
