// The settings of a config that fit a GPU, by the time of a step: mesh (data x tensor x expert, sequence), zero,
// recompute and micro-batch.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "plan/step_time.h"

namespace sluice {

// A config on a number of ranks, on a GPU; config with micro_batch resolved.
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

// The largest micro-batch of a config that fits; none where not even one sequence does. Errors: Failure(Exit::config)
// where the mesh or the batch does not fit the ranks.
std::optional<int64_t> largest_micro_batch(const Config& config, int64_t ranks, const GpuFigures& gpu);

// Keys of the mesh that stay as the config has them.
struct KeptKeys {
    bool tensor = false, expert = false, sequence = false;
    bool any() const { return tensor || expert || sequence; }
};
// Every setting that fits `ranks`, fastest first, then the one with fewer changes; of each mesh, zero and recompute the
// largest micro-batch that fits: no smaller one is faster. Meshes are those that the config's checks accept.
std::vector<Estimate> settings_that_fit(const Config& config, int64_t ranks, const GpuFigures& gpu,
                                        const KeptKeys& kept);

// What a search finds: settings on as few ranks as fit, from the given ones up by doubling, with the kept keys where
// something fits with these, else without.
struct Found {
    std::vector<Estimate> settings;  // fastest first; empty: nothing fits
    bool kept = true;                // the kept keys are as given
    // With kept keys, the fastest on as many ranks without them, where that is faster.
    std::optional<Estimate> faster;
};
constexpr int64_t kMostDoublings = 6, kMostPlannedRanks = 1 << 20;
Found search_settings(const Config& config, int64_t ranks, const GpuFigures& gpu, const KeptKeys& kept);

// What turns `before` into `now`, as key=value: what a command line takes.
std::vector<std::string> changes_between(const Config& before, const Config& now);

}  // namespace sluice
