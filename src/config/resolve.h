// Derives train.steps from train.tokens or train.epochs, and model.vocab from the data.
#pragma once
#include <map>
#include <string>

#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Removes train.steps, tokens, epochs and model.vocab where they are null: so a file or an override withdraws what a
// base gives.
void remove_nulls(Node& root);
// Checks that one of train.steps, tokens and epochs is given, which a run needs, and derives steps from tokens.
void resolve_length(Config& config, Marks& marks, Purpose purpose);
// Reports a missing model.vocab if there are no data to read it from.
void require_vocab(const Config& config, Marks& marks, const DataFacts& facts);
// Reads from the data what is still open, once all else is valid. Errors: Failure(Exit::data). A plan of epochs that
// cannot be counted has no steps, and a warning.
void resolve_by_data(Config& config, Marks& marks, Purpose purpose, const DataFacts& facts);
// The origins of the derived values, by path.
std::map<std::string, std::string> resolved_origins(const Config& config, const Marks& marks);

// The fewest whole steps that hold that many samples.
int64_t steps_of_epochs(double epochs, int64_t samples, int64_t batch);

}  // namespace sluice
