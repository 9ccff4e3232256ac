// What a run will take, from its config alone: bytes on a rank, between ranks and in a checkpoint. For the CPU backend
// bytes on a rank and bytes handed to collectives are exact: tests compare them with what is allocated and counted.
#pragma once
#include "config/specs.h"
#include "model/model.h"

namespace sluice {

// How numbers are stored. fp32: what the CPU backend does, and a GPU with train.precision fp32. bf16: weights and
// activations in bf16, with masters, moments and gradients in fp32, as a GPU would.
struct MemoryPlan {
    size_t weights = 0, masters = 0, moments = 0, gradients = 0;
    size_t attention = 0, ffn = 0, residual = 0;  // activations by layer kind
    size_t buffers = 0;
    size_t activations() const { return attention + ffn + residual; }
    size_t total() const { return weights + masters + moments + gradients + activations() + buffers; }
};
// config: with micro_batch resolved. The same for every rank: all allocate the largest slice of every tensor. Experts'
// rows are planned for the worst case, as they are allocated, or with coord.even_load for balanced experts.
MemoryPlan plan_memory(const Config& config, const MeshCoord& coord, Precision precision);
// Its two parts, for a caller that plans many settings: what depends on the mesh and zero alone, of the coordinate's
// tensors; and what micro-batch and recompute add.
MemoryPlan plan_state(const Config& config, const MeshCoord& coord, Precision precision,
                      const std::vector<TensorInfo>& tensors);
void add_activations(MemoryPlan& plan, const Config& config, const MeshCoord& coord, Precision precision);

// Bytes that a rank sends in a step, and receives as many, around rings (parallel/traffic.h); an all-to-all's picks are
// spread evenly.
struct WireTraffic {
    double gradients = 0, expert_gradients = 0;  // sums over the data group, and over ranks with the same experts
    double last_gradients = 0;                   // of `gradients` the embedding's: complete only when backward ends
    double weights = 0, expert_weights = 0;      // what is gathered after the update
    double picks = 0;                            // what the data group's routers count
    double tensor = 0, replicas = 0;             // within layers; gradients of shared key-value heads
    double expert = 0;                           // tokens to experts and back
    double world = 0;
    double data() const { return gradients + weights + picks; }
    double expert_data() const { return expert_gradients + expert_weights; }
};

// Bytes that a rank hands to collectives in a step, by group: those of its own tokens. What an all-to-all brings back
// depends on the router, and is counted as its mean over the expert group.
struct TrafficPlan {
    double data = 0;         // gradients, and weights with zero, of all but the experts; picks of the routers
    double expert_data = 0;  // the same of the experts
    double tensor = 0;       // partial sums and tokens within layers; gradients that are partial sums
    double expert = 0;       // tokens to experts and back
    double world = 0;        // loss, norm, votes
    WireTraffic wire;        // what these make a rank send
};
// item: bytes of a weight or activation; gradient_item: of a gradient. tensors: the coordinate's.
TrafficPlan plan_traffic(const Config& config, const MeshCoord& coord, int64_t item, int64_t gradient_item);
TrafficPlan plan_traffic(const Config& config, const MeshCoord& coord, int64_t item, int64_t gradient_item,
                         const std::vector<TensorInfo>& tensors);

// Bytes of a checkpoint's tensors: weights or their masters, and the optimizer's state, all in fp32, of all ranks
// together. Every rank's file adds a header of names and shapes, and the manifest lists them.
int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerSpec& optimizer);

}  // namespace sluice
