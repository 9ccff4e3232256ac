// Validates a config: values out of range, combinations that cannot be, and features that are not built yet.
#pragma once
#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Reports every error: where, which key, why and what to do. A check that depends on a value with an error is skipped.
// ranks 0: not known.
void validate_config(const Config& config, Marks& marks, Purpose purpose, int ranks);
// Reports a delimiter outside the vocabulary, if that is known.
void validate_delimiter(const Config& config, Marks& marks);

// A key and its error.
struct Conflict {
    std::string path, what;
};
// Errors if `tensor` ranks cannot shard the model's layers, or `expert` ranks its experts, into equal parts. The
// vocabulary may be sharded unevenly.
std::vector<Conflict> sharding_conflicts(const ModelSpec& model, int64_t tensor, int64_t expert);
// Errors if the mesh or the batch does not fit that many ranks.
std::vector<Conflict> rank_conflicts(const Config& config, int ranks);

}  // namespace sluice
