// What a run tells of itself when it starts: to a person in lines, to programs in metrics.jsonl.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "config/specs.h"
#include "log/run_log.h"

namespace sluice {

// gemm_rate: FLOP/s of all ranks.
std::vector<std::string> banner(const Config& config, const std::string& folder, const RunFacts& facts,
                                double gemm_rate);

// Whether threads must share cores, and what to do; empty: no. Ranks of one thread may: MPI yields where they do.
std::string crowded(int ranks, int threads, int cores);

// {version, commit, machine, ranks, threads, config_hash, time}; time: seconds since 1970.
Json run_header(const Config& config, const RunFacts& facts, double time);

}  // namespace sluice
