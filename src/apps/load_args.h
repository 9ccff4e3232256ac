// The config that a command line names: a file, a run's folder, or a checkpoint.
#pragma once
#include "apps/commands.h"
#include "config/load.h"

namespace sluice {

// For a run's folder this is its config.yaml; for a step folder, or a run that has lost its config.yaml, the config
// that the checkpoint was made with. They are read as stored configs, except to train, which takes a config.yaml only.
// Errors: Failure(Exit::config); Failure(Exit::data) where a default depends on data that cannot be read;
// Failure(Exit::checkpoint).
Loaded load_args(const ConfigArgs& args, Purpose purpose, int ranks = 0);

void print_warnings(const Loaded& loaded);  // on stderr

}  // namespace sluice
