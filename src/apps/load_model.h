// A checkpoint's model for inference: its config, with overrides, and its weights.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/load.h"
#include "model/model.h"

namespace sluice {

struct Opened {
    Checkpoint checkpoint;
    Config config;
};

// The checkpoint and its config with overrides. Mesh, device and precision are those of the overrides, not the
// checkpoint's; by default data parallel only, device auto, fp32. Newer checkpoints that had to be skipped are named on
// stderr. Errors: Failure(Exit::checkpoint), Failure(Exit::config).
Opened open_for_inference(const std::string& checkpoint, const std::vector<std::string>& overrides, int ranks);

// The model with its weights, for batches of `sequences` sequences of data.sequence_length tokens. Errors:
// Failure(Exit::checkpoint).
template <class B>
std::unique_ptr<Model<B>> load_model(const Opened& opened, int64_t sequences, Mesh& mesh = solo_mesh());

}  // namespace sluice
