#include "plan/step_time.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "model/counts.h"
#include "optim/cost.h"

namespace sluice {
namespace {

// The layers' costs added up, with recomputation: forward is a third of forward and backward together, and a
// recomputed layer runs it twice.
struct StepWork {
    double gemm = 0, grouped_gemm = 0, scores = 0;  // FLOPs per token, on all ranks
    double elements = 0;                            // elements that pointwise ops move per token, on a rank
    double expert_bytes = 0;  // bytes of experts' weights and gradients that a micro-batch moves, on a rank
};
// Grouped GEMMs read the experts' weights in forward, once more when it is recomputed, and for the gradient of x. They
// read and write the experts' gradients. With few rows per expert these bytes take longer than the FLOPs.
StepWork work_of(const ModelCost& cost, Recompute recompute, double item) {
    StepWork work;
    cost.each(recompute, [&](const Cost& layer, bool recomputed) {
        const double times = recomputed ? 4.0 / 3 : 1;
        work.gemm += times * layer.gemm;
        work.grouped_gemm += times * layer.grouped_gemm;
        work.scores += times * layer.scores;
        work.elements += times * layer.elements;
        work.expert_bytes += layer.grouped_weights * ((recomputed ? 3 : 2) * item + 2 * sizeof(float));
    });
    return work;
}

// Seconds in which a rank updates its weights: bytes moved, with bf16 those of the weight beside its master too, and
// FLOPs where the optimizer multiplies matrices.
double update_seconds(const Config& c, const MeshCoord& coord, const GpuFigures& gpu,
                      const std::vector<TensorInfo>& tensors) {
    const OptimizerShards shards(tensors, coord, c.parallel.zero > 0, c.optimizer);
    const double weight = c.train.precision == Precision::bf16 ? 2 : 0;
    double bytes = 0, flops = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        bytes += double(shards[i].capacity) * (state_of(tensors[i], c.optimizer).bytes_moved() + weight);
        flops += update_cost(tensors[i], shards[i], coord, c.optimizer, 0, 0).flops;
    }
    return bytes / gpu.bandwidth + flops / (gpu.peak(c.train.precision) * kGemmShare);
}

// Adds the seconds of communication, by group of the mesh.
void add_traffic(StepTime& s, const Config& c, const MeshCoord& coord, const GpuFigures& gpu, double item,
                 const std::vector<TensorInfo>& tensors) {
    const int64_t ranks = coord.data * coord.tensor;
    const int64_t replicas = mesh_shape(c.model, c.parallel).replicas;
    const auto rate = [&](int64_t size, int64_t stride) { return ring_rate(gpu, {size, stride, ranks}); };
    const TrafficPlan t = plan_traffic(c, coord, int64_t(item), sizeof(float), tensors);
    s.tensor = t.wire.tensor / rate(coord.tensor, 1) + t.wire.replicas / rate(replicas, 1);
    if (coord.expert > 1) s.expert = all_to_all_seconds(gpu, {coord.expert, coord.tensor, ranks}, t.expert);
    const double data = rate(coord.data, coord.tensor);
    const double expert_data = rate(coord.expert_copies(), coord.tensor * coord.expert);
    s.weights = t.wire.weights / data + t.wire.expert_weights / expert_data;
    // Gradients are summed while the last micro-batch's backward, two thirds of its work, computes. Only the
    // embedding's gradient is complete at its very end, so that its sum never overlaps.
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * coord.data));
    const double cover = (s.gemm + s.experts + s.attention) * 2 / 3 / micro_batches;
    const double sums = t.wire.gradients / data + t.wire.expert_gradients / expert_data;
    s.gradients = std::max(t.wire.last_gradients / data, sums - cover) + t.wire.picks / data;
}

}  // namespace

StepTime estimate_step(const Config& c, const MeshCoord& coord, const GpuFigures& gpu) {
    return estimate_step(c, coord, gpu, Model<PlannedFp32>::tensors(c.model, coord));
}

StepTime estimate_step(const Config& c, const MeshCoord& coord, const GpuFigures& gpu,
                       const std::vector<TensorInfo>& tensors) {
    StepTime s;
    const bool bf16 = c.train.precision == Precision::bf16;
    const double item = bf16 ? 2 : 4, peak = gpu.peak(c.train.precision);
    const int64_t length = c.data.sequence_length;
    const double step_tokens = double(c.train.batch * length), tokens = step_tokens / double(coord.data);
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * coord.data));
    const Workload load{c.train.micro_batch * length, length, item};
    const ModelCost cost = model_cost(c.model, load, coord);
    const StepWork work = work_of(cost, c.train.recompute, item);
    const auto compute = [&](double flops, double share) {
        return tokens * flops / double(coord.tensor) / (peak * share);
    };
    s.gemm = compute(work.gemm, kGemmShare);
    s.experts = compute(work.grouped_gemm, kGroupedShare) + micro_batches * work.expert_bytes / gpu.bandwidth;
    s.attention = compute(work.scores, kAttentionShare);
    s.memory = tokens * item * work.elements / gpu.bandwidth;
    s.optimizer = update_seconds(c, coord, gpu, tensors);
    add_traffic(s, c, coord, gpu, item, tensors);
    s.tokens_per_second = step_tokens / s.seconds();
    const double mfu_per_flop = s.tokens_per_second / (peak * double(coord.data * coord.tensor));
    s.mfu = mfu_per_flop * cost.total().flops();
    s.mfu_full_square = mfu_per_flop * cost.total().flops_full_square();
    return s;
}

std::string assumptions(const GpuFigures& gpu, Precision precision, const DeviceReserve& reserve) {
    const bool bf16 = precision == Precision::bf16;
    return fmt::format(
        "{}: dense {} peak {:.1f} TFLOP/s{}, of which GEMMs reach {:.0f} %, grouped GEMMs {:.0f} %, attention {:.0f} "
        "%; "
        "experts' weights and gradients move in every micro-batch; memory {} at {:.1f} TB/s, of which are set aside {} "
        "for "
        "the CUDA context, {} for NCCL and {} for streams; {:.0f} GB/s to GPUs of a node of {} ({:.0f} "
        "% "
        "of it in all-to-alls), beyond it {:.1f} GB/s through each GPU's network adapter, all of a group's on a node "
        "at "
        "once; {}; gradients travel while backward computes, all else is waited for",
        gpu.name, enum_name(precision), gpu.peak(precision) / 1e12, bf16 ? "" : " (without TF32)", 100 * kGemmShare,
        100 * kGroupedShare, 100 * kAttentionShare, format_bytes(gpu.memory), gpu.bandwidth / 1e12,
        format_bytes(reserve.context), format_bytes(reserve.nccl), format_bytes(reserve.workspaces), gpu.link / 1e9,
        kGpusPerNode, 100 * kAllToAllShare, gpu.network / 1e9,
        bf16 ? "bf16 weights and activations, fp32 masters, moments and gradients" : "everything stored in fp32");
}

}  // namespace sluice
