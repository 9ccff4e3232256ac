// A checkpoint's model for inference: its config (with overrides), its weights.
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

// The checkpoint and its config with overrides. Mesh, device and precision are those of the overrides, else data
// parallel alone, on what this build has, in fp32. Newer
// checkpoints that had to be skipped are named on stderr. Errors: Failure(Exit::checkpoint), Failure(Exit::config).
Opened open_for_inference(const std::string& checkpoint, const std::vector<std::string>& overrides, int ranks);

// With room for `sequences` sequences of data.sequence_length. Errors: Failure(Exit::checkpoint).
template <class B>
std::unique_ptr<Model<B>> load_model(const Opened& opened, int64_t sequences, Mesh& mesh = solo_mesh());

}  // namespace sluice
