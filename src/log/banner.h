// The banner of a start: lines for people, and an object in metrics.jsonl for programs.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "config/specs.h"
#include "log/run_log.h"

namespace sluice {

// full_rate: FLOP/s of all ranks together, by the data sheet or of GEMMs.
std::vector<std::string> banner(const Config& config, const std::string& folder, const RunFacts& facts,
                                double full_rate);

// A warning where threads must share cores, with what to do; else empty. Ranks of one thread may share them: MPI
// yields.
std::string crowded(int ranks, int threads, int cores);

// {version, commit, machine, ranks, threads, config_hash, time}; time: seconds since 1970.
Json run_header(const Config& config, const RunFacts& facts, double time);

}  // namespace sluice
