// config.yaml of a run's folder: the config of its latest start. Earlier ones that differed are kept beside it as
// config.1.yaml, config.2.yaml ... in the order of starts. Errors: Failure(Exit::disk).
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

void keep_config(const std::filesystem::path& folder, const std::string& yaml);

}  // namespace sluice
