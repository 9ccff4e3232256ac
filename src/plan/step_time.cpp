#include "plan/step_time.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "model/counts.h"
#include "optim/optimizer.h"

namespace sluice {
namespace {

// With recomputation a branch's forward runs a second time, in all layers but the last: a third of what forward and
// backward are together.
double with_recompute(const Config& c, bool attention) {
    const Recompute r = c.train.recompute;
    const bool again = r == Recompute::block || r == (attention ? Recompute::attention : Recompute::ffn);
    return again ? 1 + double(c.model.layers - 1) / double(3 * c.model.layers) : 1;
}

// Elements that pointwise ops read and write for a token, forward and backward. A tensor group cuts those of heads,
// widths and the vocabulary; with parallel.sequence also those of norms and residual, and gates of the output.
struct Moved {
    double rows = 0, heads = 0, kv_heads = 0, width = 0, routed = 0;  // kv heads are cut no finer than they are
};
// Of the attention branch: a norm and a sum with the residual pass 8 times over the width, forward and backward;
// QK-norm with RoPE 5 times over queries and keys; an elementwise gate 8 times over what it gates, another 4 times.
Moved moved_by_attention(const ModelSpec& n, int64_t layer) {
    Moved m;
    m.rows = 8 * double(n.hidden);
    m.heads = 5 * double(n.heads * n.head_dim);
    m.kv_heads = 5 * double(n.kv_heads * n.head_dim);
    for (const GateSpec& g : n.gates.at(layer)) {
        const GatedShape shape = gated_shape(g.position, n);
        const bool kv = g.position == Position::key || g.position == Position::value;
        (g.position == Position::output ? m.rows
         : kv                           ? m.kv_heads
              : m.heads) += (g.granularity == Granularity::elementwise ? 8 : 4) * double(shape.heads * shape.channels);
    }
    return m;
}
// Of the feed-forward branch: norm and residual as above, SwiGLU 9 times over its width, and routed rows 6 times over
// the model's width, which a tensor group does not cut.
Moved moved_by_ffn(const ModelSpec& n) {
    Moved m;
    const MoeSpec& e = n.moe;
    m.rows = 8 * double(n.hidden);
    m.width = 9 * double(e.experts > 0 ? e.top_k * e.hidden + e.shared_hidden : n.ffn.hidden);
    if (e.experts > 0) m.routed = 6 * double(e.top_k * n.hidden);
    return m;
}

// Bytes that pointwise ops move on a rank for a token of its data group. Cross-entropy reads logits and writes their
// gradients in place.
double bytes_moved(const Config& c, const Place& place, double item) {
    const ModelSpec& n = c.model;
    const double cut = double(place.tensor), kv_cut = double(std::min(place.tensor, n.kv_heads));
    const auto here = [&](const Moved& m) {
        return m.rows / (place.sequence ? cut : 1) + (m.heads + m.width) / cut + m.kv_heads / kv_cut + m.routed;
    };
    double elements = 2 * double(n.vocab) / cut;
    for (int64_t l = 0; l < n.layers; l++)
        elements +=
            with_recompute(c, true) * here(moved_by_attention(n, l)) + with_recompute(c, false) * here(moved_by_ffn(n));
    return item * elements;
}

// Bytes of the experts' weights that a rank's grouped GEMMs move in a micro-batch: weights are read forward (again with
// recomputation) and for the gradient of x, gradients are read and written. With few rows an expert this is what takes
// time.
double expert_weight_bytes(const Config& c, const std::vector<TensorInfo>& tensors, double item) {
    double count = 0;
    for (const TensorInfo& t : tensors)
        if (t.cut.experts) count += double(t.count);
    const double reads = 2 + 3 * (with_recompute(c, false) - 1);
    return count * (reads * item + 2 * sizeof(float));
}

// Seconds of the update of a rank's weights. It moves bytes, with bf16 of the weight beside its master too, and of Muon
// it multiplies.
double update_seconds(const Config& c, const Place& place, const GpuFigures& gpu,
                      const std::vector<TensorInfo>& tensors) {
    const Shares shares(tensors, place, c.parallel.zero > 0, c.optimizer);
    const double weight = c.train.precision == Precision::bf16 ? 2 : 0;
    double bytes = 0, flops = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        bytes += double(shares[i].room) * (state_of(tensors[i], c.optimizer).bytes_moved() + weight);
        if (tensors[i].trained() && kind_of(tensors[i], c.optimizer) == OptimizerKind::muon)
            flops += Matrices(tensors[i], shares[i], place).flops();
    }
    return bytes / gpu.bandwidth + flops / (gpu.peak(c.train.precision) * kGemmShare);
}

// What groups of the mesh take to communicate.
void add_traffic(StepTime& s, const Config& c, const Place& place, const GpuFigures& gpu, double item,
                 const std::vector<TensorInfo>& tensors) {
    const int64_t ranks = place.data * place.tensor;
    const int64_t replicas = mesh_shape(c.model, c.parallel).replicas;
    const auto rate = [&](int64_t size, int64_t stride) { return ring_rate(gpu, {size, stride, ranks}); };
    const TrafficPlan t = plan_traffic(c, place, int64_t(item), sizeof(float), tensors);
    s.tensor = t.wire.tensor / rate(place.tensor, 1) + t.wire.replicas / rate(replicas, 1);
    if (place.expert > 1) s.expert = all_to_all_seconds(gpu, {place.expert, place.tensor, ranks}, t.expert);
    const double data = rate(place.data, place.tensor);
    const double expert_data = rate(place.expert_copies(), place.tensor * place.expert);
    s.weights = t.wire.weights / data + t.wire.expert_weights / expert_data;
    // Gradients go while the last micro-batch's backward computes, two thirds of its work; the embedding's, complete at
    // its end, after it.
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * place.data));
    const double cover = (s.gemm + s.experts + s.attention) * 2 / 3 / micro_batches;
    const double sums = t.wire.gradients / data + t.wire.expert_gradients / expert_data;
    s.gradients = std::max(t.wire.last_gradients / data, sums - cover) + t.wire.picks / data;
}

}  // namespace

StepTime estimate_step(const Config& c, const Place& place, const GpuFigures& gpu) {
    return estimate_step(c, place, gpu, flops_by_part(c.model, c.data.sequence_length),
                         Model<PlannedFp32>::tensors(c.model, place));
}

StepTime estimate_step(const Config& c, const Place& place, const GpuFigures& gpu, const FlopsByPart& f,
                       const std::vector<TensorInfo>& tensors) {
    StepTime s;
    const bool bf16 = c.train.precision == Precision::bf16;
    const double item = bf16 ? 2 : 4, peak = gpu.peak(c.train.precision);
    const double step_tokens = double(c.train.batch * c.data.sequence_length);
    const double tokens = step_tokens / double(place.data);
    const double micro_batches = double(c.train.batch / (c.train.micro_batch * place.data));
    const double attention_again = with_recompute(c, true), ffn_again = with_recompute(c, false);
    const auto compute = [&](double flops, double share) {
        return tokens * flops / double(place.tensor) / (peak * share);
    };
    s.gemm = compute(f.other_weights + f.attention_weights * attention_again + f.ffn_weights * ffn_again, kGemmShare);
    s.experts = compute(f.expert_weights * ffn_again, kGroupedShare) +
                micro_batches * expert_weight_bytes(c, tensors, item) / gpu.bandwidth;
    s.attention = compute(f.scores * attention_again, kAttentionShare);
    s.memory = tokens * bytes_moved(c, place, item) / gpu.bandwidth;
    s.optimizer = update_seconds(c, place, gpu, tensors);
    add_traffic(s, c, place, gpu, item, tensors);
    s.tokens_per_second = step_tokens / s.seconds();
    const double a_flop = s.tokens_per_second / (peak * double(place.data * place.tensor));
    s.mfu = a_flop * f.total();
    s.mfu_full_square = a_flop * f.total_full_square();
    return s;
}

std::string assumptions(const GpuFigures& gpu, Precision precision, const DeviceReserve& reserve) {
    const bool bf16 = precision == Precision::bf16;
    return fmt::format(
        "{}: dense {} peak {:.1f} TFLOP/s{}, of which GEMMs reach {:.0f} %, grouped GEMMs {:.0f} %, attention {:.0f} "
        "%; "
        "experts' weights and gradients move in every micro-batch; memory {} at {:.1f} TB/s, of which are set aside {} "
        "for "
        "the CUDA context, {} for NCCL and {} for workspaces of libraries; {:.0f} GB/s to GPUs of a node of {} ({:.0f} "
        "% "
        "of it in all-to-alls), beyond it {:.1f} GB/s through each GPU's network adapter, all of a group's on a node "
        "at "
        "once; {}; gradients travel while backward computes, all else is waited for",
        gpu.name, to_word(precision), gpu.peak(precision) / 1e12, bf16 ? "" : " (without TF32)", 100 * kGemmShare,
        100 * kGroupedShare, 100 * kAttentionShare, format_bytes(gpu.memory), gpu.bandwidth / 1e12,
        format_bytes(reserve.context), format_bytes(reserve.nccl), format_bytes(reserve.workspaces), gpu.link / 1e9,
        kGpusPerNode, 100 * kAllToAllShare, gpu.network / 1e9,
        bf16 ? "bf16 weights and activations, fp32 masters, moments and gradients" : "everything stored in fp32");
}

}  // namespace sluice
