// The model of a checkpoint, with its weights.
#pragma once
#include <memory>

#include "engine/opened.h"
#include "model/model.h"

namespace sluice {

// For batches of `sequences` sequences of data.sequence_length tokens. mode: not training. Errors:
// Failure(Exit::checkpoint).
template <class B>
std::unique_ptr<Model<B>> load_model(const Opened& opened, int64_t sequences, Mode mode, Mesh& mesh);

}  // namespace sluice
