// `sluice sweep`: the points of a sweep file, trained or listed.
#pragma once
#include <string>
#include <vector>

namespace sluice {

struct SweepArgs {
    std::string file;                    // a sweep file, or the folder of a sweep
    std::vector<std::string> overrides;  // key=value
    std::string gpu;                     // a name that find_gpu() knows; empty: this machine
    bool dry_run = false, json = false;
};

// Returns the exit code. json, with dry_run: {"points": [{variant, axes: {KEY: value}, seed, folder, parameters,
// flops_per_token, tokens, state, training_flops, expected_seconds}]}, with null for what is not known.
// Errors: Failure(Exit::config) with all complaints of all points; Failure(Exit::data) for data that are not there;
// Failure(Exit::checkpoint) for folders of another config, or held by another sweep.
int sweep_command(const SweepArgs& args);

}  // namespace sluice
