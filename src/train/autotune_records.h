// Autotuning choices (kernels/autotune.h) in a run's checkpoints: what every rank used, for each library and kind of
// machine. A run that resumes uses them again, so that no new timing changes its bits.
#pragma once
#include <vector>

#include "checkpoint/checkpoint.h"

namespace sluice {

// This rank's choices for a checkpoint; and, without ranks, those of `before` that are of libraries or machines which
// this process does not have.
std::vector<AutotuneRecord> autotune_records(int64_t rank, const std::vector<AutotuneRecord>& before);

// From here on this rank uses the choices that it used before, or else those of any rank on the same kind of machine.
void restore_autotune(const std::vector<AutotuneRecord>& saved, int64_t rank);

}  // namespace sluice
