// The numbers that a look at a step writes down, from what probes added up.
#pragma once
#include <optional>
#include <vector>

#include "layers/probe.h"
#include "log/metrics.h"

namespace sluice {

// Of a layer, or of all layers; empty where there is no such thing.
struct LayerLook {
    std::optional<double> gate_mean, gate_sparsity;    // of the gates' factors; the share of those below 0.1
    std::optional<double> f_attn, entropy, max_logit;  // weight of the first token; in nats; the largest scaled score
    std::optional<double> m_act;                       // the largest magnitude of the residual
    // Of attention's output: the mean magnitude, and the share of those below 0.01; the same behind its gates.
    std::optional<double> sdpa_mean, sdpa_small, gated_mean, gated_small;
    std::optional<double> expert_load, router_entropy;  // picks of the busiest expert over the mean; in nats
    std::optional<Histogram> gates;                     // of the gates' factors
};

// Of sums over all ranks. What routers added to the entropy is taken for their mean over tokens.
LayerLook look_at(const LayerSums& layer);
// Means over the layers that have a number; of max_logit and m_act the largest. Without histograms.
LayerLook look_at_all(const std::vector<LayerLook>& layers);
// Adds probe/... of all layers and probe/layers/I/... of each.
void add_look(MetricsRow& row, const std::vector<LayerLook>& layers);

// Of a gate's factors, between the outermost bins that are not empty.
Histogram histogram_of(const GateSums& gates);

}  // namespace sluice
