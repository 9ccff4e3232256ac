// The config that a command line names: a file, a run's folder, or a checkpoint.
#pragma once
#include "apps/commands.h"
#include "config/load.h"

namespace sluice {

// A folder of a run stands for its config.yaml, a step folder (or a run that has lost its config.yaml) for the config
// that the checkpoint was made with; both as they were stored, and to train, only a run's. Errors:
// Failure(Exit::config); Failure(Exit::data) where the config leaves something to the data, Failure(Exit::checkpoint).
Loaded load_args(const ConfigArgs& args, Purpose purpose, int ranks = 0);

void print_warnings(const Loaded& loaded);  // on stderr

}  // namespace sluice
