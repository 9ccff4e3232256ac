// How long a step takes on a GPU, from a small table of device figures: an estimate for choosing a mesh, not a
// measurement. Every figure that goes into it is printed with it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "train/plan.h"

namespace sluice {

// Rates are what good kernels reach, per GPU; see gpus() in step_time.cpp for where they come from.
struct GpuFigures {
    const char* name;
    double peak;       // FLOP/s, dense bf16
    double memory;     // bytes that a process can have
    double bandwidth;  // bytes/s of memory, as a copy reaches
    double link;       // bytes/s to GPUs of the same node, as collectives reach
    double network;    // bytes/s to other nodes
};
const std::vector<GpuFigures>& gpus();
const GpuFigures* find_gpu(const std::string& name);

constexpr int64_t kGpusPerNode = 8;
// Shares of the peak that GEMMs, grouped GEMMs and attention reach.
constexpr double kGemmShare = 0.72, kGroupedShare = 0.50, kAttentionShare = 0.42;

struct StepTime {
    double gemm, experts, attention, memory, optimizer;  // seconds of a step
    double tensor, expert, data;                         // seconds of communication, exposed
    double seconds() const { return gemm + experts + attention + memory + optimizer + tensor + expert + data; }
    double mfu;
    double tokens_per_second;  // of all ranks
};
StepTime estimate_step(const Config& config, const Place& place, const GpuFigures& gpu);

// The nearest config that fits, and what it changes, as key=value; none where nothing tried does. Tried, in this order
// of preference: smaller micro-batches, zero, recompute, then larger expert and tensor groups within a node, then more
// ranks.
struct Fitting {
    Config config;
    int64_t ranks;
    std::vector<std::string> changes;
};
std::optional<Fitting> nearest_that_fits(const Config& config, int64_t ranks, const GpuFigures& gpu);

}  // namespace sluice
