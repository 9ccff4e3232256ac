// The lines that a run says when it starts.
#pragma once
#include <string>
#include <vector>

#include "config/specs.h"
#include "train/run_log.h"

namespace sluice {

// gemm_rate: FLOP/s of all ranks.
std::vector<std::string> banner(const Config& config, const std::string& folder, const RunFacts& facts,
                                double gemm_rate);

}  // namespace sluice
