// What a config derives from its token shards: the size of the vocabulary and the number of samples.
#pragma once
#include "config/load.h"

namespace sluice {

// Reads the headers of shards and the sets recorded beside them, but no ids.
DataFacts facts_of_shards();

// Epochs of a run: the samples that it consumes over the samples of all sources. 0 where there are no samples.
double epochs_of(const Config& config, int64_t samples);
std::string format_epochs(double epochs);  // "0.31 epochs", "12.4 epochs"

}  // namespace sluice
