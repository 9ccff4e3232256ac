// manifest.json: everything in a checkpoint but the elements of its tensors. It is written last.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"

namespace sluice {

constexpr int64_t kFormatVersion = 1;
constexpr size_t kLargestManifest = size_t{1} << 30;  // bytes

struct Manifest {
    CheckpointInfo info;
    std::map<std::string, FileSummary> files;
    std::map<std::string, StoredTensor> tensors;
};

std::string manifest_text(const Manifest& manifest);
// Errors: JsonError.
Manifest parse_manifest(const std::string& text);
// Errors: Failure(Exit::checkpoint), naming the file.
Manifest read_manifest(const std::filesystem::path& path);

}  // namespace sluice
