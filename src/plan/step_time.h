// How long a step takes on a GPU, estimated from the figures of gpu.h: for choosing a mesh, not a measurement. It is of
// kernels that no GPU has run yet. Every figure that goes into it is printed with it.
#pragma once
#include <string>

#include "plan/gpu.h"
#include "plan/plan.h"

namespace sluice {

// The parts of the peak that GEMMs, grouped GEMMs (with many rows per expert) and attention reach.
constexpr double kGemmShare = 0.72, kGroupedShare = 0.50, kAttentionShare = 0.42;

struct StepTime {  // seconds of a step, by what takes them
    double gemm = 0, experts = 0, attention = 0;
    double memory = 0;              // pointwise ops, limited by memory bandwidth
    double optimizer = 0;           // the update
    double tensor = 0, expert = 0;  // communication within layers: nothing overlaps with it
    double gradients = 0;           // the part of the sums over the data group that does not overlap with backward
    double weights = 0;             // gathering the weights after the update
    double seconds() const {
        return gemm + experts + attention + memory + optimizer + tensor + expert + gradients + weights;
    }
    double tokens_per_second = 0;         // all ranks together
    double mfu = 0, mfu_full_square = 0;  // part of the precision's peak; the latter counts attention's full square
};
StepTime estimate_step(const Config& config, const MeshCoord& coord, const GpuFigures& gpu);
// The same with the tensors of `coord`, for a caller that estimates many settings.
StepTime estimate_step(const Config& config, const MeshCoord& coord, const GpuFigures& gpu,
                       const std::vector<TensorInfo>& tensors);

// The figures behind an estimate, as a sentence for a report.
std::string assumptions(const GpuFigures& gpu, Precision precision, const DeviceReserve& reserve);

}  // namespace sluice
