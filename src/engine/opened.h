// A checkpoint for inference: its config, with overrides.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/load.h"

namespace sluice {

struct Opened {
    Checkpoint checkpoint;
    Config config;
};

// The checkpoint and its config with overrides. Mesh, device and precision are those of the overrides, not the
// checkpoint's; by default data parallel only, device auto, fp32. Newer checkpoints that had to be skipped are named on
// stderr. Errors: Failure(Exit::checkpoint), Failure(Exit::config).
Opened open_for_inference(const std::string& checkpoint, const std::vector<std::string>& overrides, int ranks);

}  // namespace sluice
