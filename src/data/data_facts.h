// What token shards tell a config that leaves it to them: their vocabulary, and how many samples there are.
#pragma once
#include "config/load.h"

namespace sluice {

// Looks at the headers of shards and at what is recorded beside them, at no ids.
DataFacts facts_of_shards();

// How often a run takes all samples of its sources, by number: 0.5 is half of them. 0 without samples.
double epochs_of(const Config& config, int64_t samples);
std::string format_epochs(double epochs);  // "0.31 epochs", "12.4 epochs"

}  // namespace sluice
