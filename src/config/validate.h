// What no config may say: values out of range, parts that cannot go together, and what is not built yet.
#pragma once
#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Complains of all that is wrong: where, which key, why and what to do. What hangs on a value that was complained of
// already is left alone. ranks 0: not known.
void validate_config(const Config& config, Marks& marks, Purpose purpose, int ranks);
// A delimiter outside the vocabulary, where that is known.
void validate_delimiter(const Config& config, Marks& marks);

// A key and what is wrong with it.
struct Conflict {
    std::string path, what;
};
// Why `tensor` ranks cannot share the model's layers, or `expert` ranks its experts: cuts are equal, but the
// vocabulary's.
std::vector<Conflict> sharding_conflicts(const ModelSpec& model, int64_t tensor, int64_t expert);
// Why the mesh and the batch do not fit so many ranks.
std::vector<Conflict> rank_conflicts(const Config& config, int ranks);

}  // namespace sluice
