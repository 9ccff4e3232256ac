// What a run will need, from its config alone: bytes on a rank, between ranks and in a checkpoint. Bytes on a rank are
// exact, and on the CPU bytes handed to collectives too: tests compare them with what is allocated and counted.
#pragma once
#include "config/specs.h"
#include "model/model.h"

namespace sluice {

// How a GPU stores numbers. fp32: everything, as on a CPU; bf16: weights and activations, beside masters, moments and
// gradients in fp32.
inline Storage storage_on_gpu(Precision precision) {
    return precision == Precision::bf16 ? Storage::gpu_bf16 : Storage::gpu_fp32;
}

// Bytes on a rank, by kind.
struct MemoryPlan {
    size_t weights = 0, masters = 0, moments = 0, gradients = 0;
    size_t attention = 0, ffn = 0, residual = 0;  // activations by kind of layer
    size_t buffers = 0;
    size_t activations() const { return attention + ffn + residual; }
    size_t total() const { return weights + masters + moments + gradients + activations() + buffers; }
};
// config: with micro_batch resolved; in inference the sequences of a pass. The plan is the same for every rank: each
// allocates the largest slice of every tensor. Experts' rows are planned for the worst case, as they are allocated, or
// with coord.even_load for balanced experts.
MemoryPlan plan_memory(const Config& config, const MeshCoord& coord, Storage storage, Mode mode = Mode::training);
// The two parts of plan_memory(), for a caller that plans many settings: what depends on the mesh and zero alone, with
// the tensors of `coord`; and what micro-batch and recompute add.
MemoryPlan plan_state(const Config& config, const MeshCoord& coord, Storage storage, Mode mode,
                      const std::vector<TensorInfo>& tensors);
void add_activations(MemoryPlan& plan, const Config& config, const MeshCoord& coord, Storage storage, Mode mode);

// Bytes that a rank sends in a step around rings (parallel/traffic.h); it receives as many. Tokens are taken to be
// spread evenly over experts.
struct WireTraffic {
    double gradients = 0, expert_gradients = 0;  // summed over the data group, and over ranks with the same experts
    double last_gradients = 0;                   // part of `gradients`: the embedding's, complete when backward ends
    double weights = 0, expert_weights = 0;      // gathered after the update
    double picks = 0;                            // tokens per expert of a micro-batch, summed over the data group
    double tensor = 0, replicas = 0;             // within layers; gradients of key-value heads that ranks hold together
    double expert = 0;                           // tokens to experts and back
    double world = 0;                            // loss, norm, flags and tokens per expert of a step
    double data() const { return gradients + weights + picks; }
    double expert_data() const { return expert_gradients + expert_weights; }
};

// Bytes that a rank hands to collectives in a step, by group. The rows that an all-to-all hands back depend on the
// router, and are counted as their mean over the expert group.
struct TrafficPlan {
    double data = 0;         // gradients, and weights with zero, of all but the experts; tokens per expert
    double expert_data = 0;  // the experts' gradients, and weights with zero
    double tensor = 0;       // partial sums and tokens within layers; gradients that are partial sums
    double expert = 0;       // tokens to experts and back
    double world = 0;        // loss, norm, flags and tokens per expert of a step
    WireTraffic wire;        // what a rank sends for all of these
};
// item: bytes of one element of a weight or activation; gradient_item: of a gradient. tensors: those of `coord`.
TrafficPlan plan_traffic(const Config& config, const MeshCoord& coord, int64_t item, int64_t gradient_item);
TrafficPlan plan_traffic(const Config& config, const MeshCoord& coord, int64_t item, int64_t gradient_item,
                         const std::vector<TensorInfo>& tensors);

// Bytes of a checkpoint's tensors, of all ranks together: weights or their masters, and the optimizer's state, all in
// fp32. The header of each rank's file and the manifest, both small, come on top.
int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerSpec& optimizer);

}  // namespace sluice
