// Which settings of a config fit the memory of a GPU, sorted by the time of a step: mesh (data x tensor, expert,
// sequence), zero, recompute and micro-batch.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "plan/settings.h"
#include "plan/step_time.h"

namespace sluice {

// What a config needs on so many ranks of a GPU; config with micro_batch resolved.
struct Estimate {
    Config config;
    int64_t ranks;
    MeshCoord coord;
    MemoryPlan memory;
    DeviceReserve reserve;
    StepTime time;
    double bytes() const { return double(memory.total()) + reserve.total(); }
    bool fits(const GpuFigures& gpu) const { return bytes() <= gpu.memory; }
};
Estimate estimate(const Config& config, int64_t ranks, const GpuFigures& gpu);

// The largest micro-batch, in sequences, with which a config fits; none where not even one sequence fits. Errors:
// Failure(Exit::config) where the mesh or the batch cannot be divided over the ranks.
std::optional<int64_t> largest_micro_batch(const Config& config, int64_t ranks, const GpuFigures& gpu);

// Every setting that fits on `ranks` ranks, fastest first; of equally fast ones that with fewer changes first. Meshes
// are those that the config's checks accept. Each mesh, zero and recompute comes once, with the largest micro-batch
// that fits: no smaller one is faster.
std::vector<Estimate> settings_that_fit(const Config& config, int64_t ranks, const GpuFigures& gpu,
                                        const KeptKeys& kept);

// The result of a search. It doubles the number of ranks until some setting fits; at each number it first keeps the
// keys in `kept`, and only then changes them too.
struct Found {
    std::vector<Estimate> settings;  // fastest first; empty: nothing fits
    bool kept = true;                // the keys to keep are as the config has them
    // The fastest setting on as many ranks with all keys free, where keys are kept and it is faster.
    std::optional<Estimate> faster;
};
constexpr int64_t kMostDoublings = 6, kMostPlannedRanks = 1 << 20;
Found search_settings(const Config& config, int64_t ranks, const GpuFigures& gpu, const KeptKeys& kept);

// The overrides, key=value as on a command line, that turn `before` into `now`.
std::vector<std::string> changes_between(const Config& before, const Config& now);

}  // namespace sluice
