// How long a step takes on a GPU, from the figures of gpu.h: an estimate for choosing a mesh, of kernels that this
// build does not have yet; not a measurement. Every figure that goes into it is printed with it.
#pragma once
#include <string>

#include "plan/gpu.h"
#include "plan/plan.h"

namespace sluice {

// Shares of the peak that GEMMs, grouped GEMMs (of many rows an expert) and attention reach.
constexpr double kGemmShare = 0.72, kGroupedShare = 0.50, kAttentionShare = 0.42;

struct StepTime {
    double gemm = 0, experts = 0, attention = 0, memory = 0, optimizer = 0;  // seconds of a step
    double tensor = 0, expert = 0;  // of communication within layers: nothing hides it
    double gradients = 0;           // of sums over the data group, what backward does not hide
    double weights = 0;             // with zero, of gathering them after the update
    double seconds() const {
        return gemm + experts + attention + memory + optimizer + tensor + expert + gradients + weights;
    }
    double tokens_per_second = 0;         // of all ranks
    double mfu = 0, mfu_full_square = 0;  // of the precision's peak; the latter with attention's full square
};
StepTime estimate_step(const Config& config, const MeshCoord& coord, const GpuFigures& gpu);
// The same with the tensors of the coordinate, for a caller that estimates many settings.
StepTime estimate_step(const Config& config, const MeshCoord& coord, const GpuFigures& gpu,
                       const std::vector<TensorInfo>& tensors);

// In words, for a report: the figures that an estimate was made with.
std::string assumptions(const GpuFigures& gpu, Precision precision, const DeviceReserve& reserve);

}  // namespace sluice
