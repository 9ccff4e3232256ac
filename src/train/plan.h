// What a run will take, from its config alone: bytes on a rank and bytes between ranks. For the CPU backend both are
// exact: tests hold them to what is allocated and counted.
#pragma once
#include "config/specs.h"
#include "model/model.h"

namespace sluice {

// How numbers are stored. fp32: what the CPU backend does. bf16: weights and activations in bf16, with masters, moments
// and gradients in fp32, as a GPU would.
struct MemoryPlan {
    size_t weights = 0, masters = 0, moments = 0, gradients = 0;
    size_t attention = 0, ffn = 0, residual = 0;  // activations by layer kind
    size_t buffers = 0;
    size_t activations() const { return attention + ffn + residual; }
    size_t total() const { return weights + masters + moments + gradients + activations() + buffers; }
};
// config: with micro_batch resolved. Of any rank: all have room for the largest part of everything.
MemoryPlan plan_memory(const Config& config, const Place& place, Precision precision);

// Bytes that a rank hands to collectives in a step, by group: those of its own tokens. What an all-to-all brings back
// depends on the router, and is counted as its mean over the expert group.
struct TrafficPlan {
    double data = 0;         // gradients, and weights with zero, of all but the experts; picks of the routers
    double expert_data = 0;  // the same of the experts
    double tensor = 0;       // partial sums and tokens within layers; gradients that are partial sums
    double expert = 0;       // tokens to experts and back
    double world = 0;        // loss, norm, votes
};
// item: bytes of a weight or activation; gradient_item: of a gradient.
TrafficPlan plan_traffic(const Config& config, const Place& place, int64_t item, int64_t gradient_item);

}  // namespace sluice
