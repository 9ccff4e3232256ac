// Trains the points of a sweep: several at once, each a run of its own process or its own mpirun.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/check.h"
#include "sweep/points.h"

namespace sluice {

// Trains what is not done yet, and goes on with what is half done. A point that fails is tried again, at most
// sweep.retries times in a start, and then left as failed; the others go on. One that diverges is a result. When a stop
// is requested (base/signals.h), all that train stop with checkpoints. They end with this process, in whatever way it
// ends. program: of a point. gpus: what CUDA_VISIBLE_DEVICES calls those of this machine; points that train at once
// get sweep.ranks of them each, and so fewer may train at once than sweep.parallel. Returns done; stopped with points
// left to train; other where some failed. Errors: Failure(Exit::checkpoint) where another sweep holds the folder, it
// has points of another sweep alone, or a point's folder has a run of another config; Failure(Exit::disk).
Exit run_sweep(const SweepSpec& spec, const std::vector<Point>& points, const std::filesystem::path& program,
               const std::vector<std::string>& gpus = {});

}  // namespace sluice
