// Values that a config leaves to others: train.steps to train.tokens or train.epochs, model.vocab to the data.
#pragma once
#include <map>
#include <string>

#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// `null` takes train.steps, tokens, epochs or model.vocab back that a config below gives.
void take_back_nulls(Node& root);
// One of train.steps, tokens and epochs, which a run needs; steps from tokens.
void resolve_length(Config& config, Marks& marks, Purpose purpose);
// Refuses a config without model.vocab where no data can tell it.
void require_vocab(const Config& config, Marks& marks, const DataFacts& facts);
// Asks the data what is still open, once all else is sound. Errors: Failure(Exit::data). A plan does without the steps
// of epochs that cannot be counted, and is warned.
void resolve_by_data(Config& config, Marks& marks, Purpose purpose, const DataFacts& facts);
// Where the resolved values come from, by path.
std::map<std::string, std::string> resolved_origins(const Config& config, const Marks& marks);

// Whole steps that hold so many samples, or more.
int64_t steps_of_epochs(double epochs, int64_t samples, int64_t batch);

}  // namespace sluice
