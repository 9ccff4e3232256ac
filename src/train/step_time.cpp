#include "train/step_time.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "config/load.h"
#include "config/refuse.h"
#include "model/counts.h"
#include "train/shares.h"

namespace sluice {
namespace {

double recomputed_share(const Config& c, bool attention) {
    const Recompute r = c.train.recompute;
    const bool again = r == Recompute::block || r == (attention ? Recompute::attention : Recompute::ffn);
    return again ? 4.0 / 3.0 : 1;  // a third pass of forward beside backward's two
}

// FLOPs of a token, forward and backward with what is computed again.
struct Flops {
    double gemm = 0, experts = 0, attention = 0;
};
Flops flops_of(const Config& c) {
    Flops f;
    const ModelSpec& n = c.model;
    const double model = flops_per_token(n, c.data.sequence_length);
    double matrices = n.tie_embeddings ? 6.0 * double(n.vocab) * double(n.hidden) : 0;
    f.gemm = matrices;
    for (const TensorInfo& t : Model<Cpu<float>>::tensors(n)) {
        if (t.decay != Decay::yes) continue;
        const double flops = 6.0 * double(t.count) * used_share(n, t);
        matrices += flops;
        const bool attention = t.name.find(".attention.") != std::string::npos;
        const double again = t.name.rfind("layers.", 0) == 0 ? recomputed_share(c, attention) : 1;
        (t.cut.experts ? f.experts : f.gemm) += flops * again;
    }
    f.attention = (model - matrices) * recomputed_share(c, true);
    return f;
}

// Bytes that pointwise ops move for a token of a layer, forward and backward: norms, residual and projections' ends
// pass 24 times over the width, SwiGLU 9 times over its own, an elementwise gate 8 times over its scores, and routed
// tokens 6 times over the width a pick.
double bytes_moved(const ModelSpec& n, int64_t layer) {
    const bool mixture = n.moe.experts > 0;
    const double inner = mixture ? double(n.moe.top_k * n.moe.hidden + n.moe.shared_hidden) : double(n.ffn.hidden);
    double elements = 24 * double(n.hidden) + 9 * inner + (mixture ? 6 * double(n.moe.top_k * n.hidden) : 0);
    for (const GateSpec& g : n.gates.at(layer)) {
        const GatedShape shape = gated_shape(g.position, n);
        elements += (g.granularity == Granularity::elementwise ? 8 : 4) * double(shape.heads * shape.channels);
    }
    return 2 * elements;
}

}  // namespace

// Peaks and memory: the vendor's data sheets, dense bf16, SXM. The H200's shares of the peak, its link (an 8-GPU
// reduce-scatter or all-gather) and its bandwidth (a copy) are published measurements; the other GPUs' link and
// bandwidth are scaled by their data sheets. Network: 400 Gb/s a GPU.
const std::vector<GpuFigures>& gpus() {
    static const std::vector<GpuFigures> all{
        {"a100", 312e12, 79e9, 1.8e12, 250e9, 50e9},
        {"h100", 989.4e12, 79e9, 3.0e12, 370e9, 50e9},
        {"h200", 989.4e12, 139 * 1073741824.0, 4.3e12, 370e9, 50e9},
        {"b200", 2250e12, 178e9, 7.1e12, 740e9, 50e9},
    };
    return all;
}

const GpuFigures* find_gpu(const std::string& name) {
    for (const GpuFigures& gpu : gpus())
        if (name == gpu.name) return &gpu;
    return nullptr;
}

StepTime estimate_step(const Config& c, const Place& place, const GpuFigures& gpu) {
    StepTime s{};
    const double step_tokens = double(c.train.batch * c.data.sequence_length);
    const double tokens = step_tokens / double(place.data), cut = double(place.tensor);
    const Flops f = flops_of(c);
    s.gemm = tokens * f.gemm / cut / (gpu.peak * kGemmShare);
    s.experts = tokens * f.experts / cut / (gpu.peak * kGroupedShare);
    s.attention = tokens * f.attention / cut / (gpu.peak * kAttentionShare);
    for (int64_t l = 0; l < c.model.layers; l++)
        s.memory += tokens * bytes_moved(c.model, l) / (place.sequence ? cut : 1) / gpu.bandwidth;
    // AdamW reads and writes masters and moments, reads the gradient, writes the weight: 30 bytes.
    const double state =
        double(optimizer_state(Model<Cpu<float>>::tensors(c.model, place), place, c.parallel.zero > 0));
    s.optimizer = 30 * state / gpu.bandwidth;

    const TrafficPlan t = plan_traffic(c, place, 2, 4);
    const auto rate = [&](int64_t span) { return span <= kGpusPerNode ? gpu.link : gpu.network; };
    const auto ring = [](int64_t ranks) { return double(ranks - 1) / double(ranks); };
    s.tensor = t.tensor * ring(place.tensor) * (place.sequence ? 1 : 2) / rate(place.tensor);
    s.expert = t.expert * ring(place.expert) / rate(place.tensor * place.expert);
    // Gradients go while backward computes, two thirds of the work; what is left over shows.
    const double passes = c.parallel.zero > 0 ? 1 : 2;
    const double reduction = (t.data * ring(place.data) + t.expert_data * ring(place.expert_copies())) * passes /
                             rate(place.data * place.tensor);
    const int64_t micro_batches = std::max<int64_t>(1, c.train.batch / (c.train.micro_batch * place.data));
    const double cover = (s.gemm + s.experts + s.attention) * 2 / 3 / double(micro_batches);  // of the last backward
    s.data = std::max(0.0, reduction - cover);
    s.tokens_per_second = step_tokens / s.seconds();
    s.mfu = s.tokens_per_second * flops_per_token(c.model, c.data.sequence_length) /
            (gpu.peak * double(place.data * place.tensor));
    return s;
}

namespace {

bool fits(const Config& c, int64_t ranks, const GpuFigures& gpu) {
    const Place place = place_of(mesh_shape(c.model, c.parallel), ranks, 0);
    return double(plan_memory(c, place, Precision::bf16).total()) <= gpu.memory;
}

// Sets the largest micro-batch that fits, from the given one down by halves; false where none does.
bool fit_micro_batch(Config& c, int64_t ranks, const GpuFigures& gpu) {
    const int64_t data = ranks / c.parallel.tensor;
    if (ranks % c.parallel.tensor != 0 || data % c.parallel.expert != 0 || c.train.batch % data != 0) return false;
    const int64_t share = c.train.batch / data, given = std::min(c.train.micro_batch, share);
    c.train.micro_batch = 1;
    if (!fits(c, ranks, gpu)) return false;
    for (int64_t m = given; m > 1; m /= 2) {
        c.train.micro_batch = m;
        if (share % m == 0 && fits(c, ranks, gpu)) return true;
    }
    c.train.micro_batch = 1;
    return true;
}

std::vector<std::string> changes_between(const Config& before, const Config& now) {
    std::map<std::string, std::string> old;
    for (const auto& [key, value] : flatten(before)) old[key] = value;
    std::vector<std::string> changes;
    for (const auto& [key, value] : flatten(now))
        if (old[key] != value) changes.push_back(key + "=" + value);
    return changes;
}

}  // namespace

std::optional<Fitting> nearest_that_fits(const Config& given, int64_t ranks, const GpuFigures& gpu) {
    const ModelSpec& n = given.model;
    for (int64_t all = ranks; all <= 64 * ranks; all *= 2)
        for (int64_t tensor = given.parallel.tensor; tensor <= kGpusPerNode; tensor *= 2)
            for (int64_t expert = given.parallel.expert; expert * tensor <= kGpusPerNode; expert *= 2) {
                if (!sharding_conflicts(n, tensor, expert).empty()) continue;
                for (const Recompute recompute : {given.train.recompute, Recompute::block})
                    for (int64_t zero = given.parallel.zero; zero <= 1; zero++) {
                        Config c = given;
                        c.parallel.tensor = tensor;
                        c.parallel.expert = expert;
                        c.parallel.zero = zero;
                        c.train.recompute = recompute;
                        if (fit_micro_batch(c, all, gpu)) return Fitting{c, all, changes_between(given, c)};
                    }
            }
    return {};
}

}  // namespace sluice
