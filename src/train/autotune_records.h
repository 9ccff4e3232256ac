// Autotuning choices (kernels/autotune.h) in a run's checkpoints: what every rank used, for each library and kind of
// machine. A resumed run uses them again, so that new timings do not change its bits.
#pragma once
#include <vector>

#include "checkpoint/checkpoint.h"

namespace sluice {

// This rank's choices, for a checkpoint. Records of `before` for libraries or machines that this process does not have
// are kept, without ranks.
std::vector<AutotuneRecord> autotune_records(int64_t rank, const std::vector<AutotuneRecord>& before);

// Makes this rank use the choices that it used before, or else those of any rank on the same kind of machine.
void restore_autotune(const std::vector<AutotuneRecord>& saved, int64_t rank);

}  // namespace sluice
