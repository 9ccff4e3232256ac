// A checkpoint's model for inference: its config (with overrides), its weights.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "config/load.h"
#include "model/model.h"
#include "train/checkpoint.h"

namespace sluice {

struct LoadedModel {
    Checkpoint checkpoint;
    Config config;
    std::unique_ptr<Model<Cpu<float>>> model;
};

// Room for `sequences` sequences of data.sequence_length (a micro-batch when 0). Newer checkpoints that had to be
// skipped are named on stderr. Errors: Failure(Exit::checkpoint), Failure(Exit::config).
LoadedModel load_model(const std::string& checkpoint, const std::vector<std::string>& overrides, int64_t sequences);

}  // namespace sluice
