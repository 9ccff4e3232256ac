#include "log/layer_look.h"

#include <algorithm>
#include <string>

#include "base/larger_of.h"

namespace sluice {
namespace {

// How a number of all layers comes from those of each.
enum class Over { mean, largest, nothing };
struct LookNumber {
    const char* name;
    std::optional<double> LayerLook::*value;
    Over over;
};
constexpr LookNumber kLookNumbers[] = {{"gate_mean", &LayerLook::gate_mean, Over::mean},
                                       {"gate_sparsity", &LayerLook::gate_sparsity, Over::mean},
                                       {"f_attn", &LayerLook::f_attn, Over::mean},
                                       {"m_act", &LayerLook::m_act, Over::largest},
                                       {"attention_entropy", &LayerLook::entropy, Over::mean},
                                       {"max_logit", &LayerLook::max_logit, Over::largest},
                                       {"sdpa_mean_abs", &LayerLook::sdpa_mean, Over::mean},
                                       {"sdpa_sparsity", &LayerLook::sdpa_small, Over::mean},
                                       {"sdpa_mean_abs_gated", &LayerLook::gated_mean, Over::mean},
                                       {"sdpa_sparsity_gated", &LayerLook::gated_small, Over::mean},
                                       {"expert_load", &LayerLook::expert_load, Over::nothing},
                                       {"router_entropy", &LayerLook::router_entropy, Over::nothing}};

void add_numbers(MetricsRow& row, const std::string& prefix, const LayerLook& look) {
    for (const LookNumber& n : kLookNumbers)
        if (look.*n.value) row.emplace_back(prefix + n.name, *(look.*n.value));
    if (look.gates) row.emplace_back(prefix + "gate_histogram", *look.gates);
}

}  // namespace

Histogram histogram_of(const GateSums& gates) {
    int first = 0, end = kGateBins;
    while (first < end && gates.bins[first] == 0) first++;
    while (end > first && gates.bins[end - 1] == 0) end--;
    constexpr double kBins = 1 / kGateBin;  // of a unit: 7 / 20 is 0.35, as 7 * 0.05 is not
    Histogram h{(kGateLow * kBins + first) / kBins, kGateBin, {}, gates.count};
    for (int b = first; b < end; b++) h.shares.push_back(gates.bins[b] / gates.count);
    return h;
}

LayerLook look_at(const LayerSums& layer) {
    LayerLook look;
    GateSums gates;
    for (const auto& heads : layer.gates) add(gates, sum_of(heads));
    if (gates.count > 0) {
        look.gate_mean = gates.sum / gates.count;
        look.gate_sparsity = gates.under[1] / gates.count;
        look.gates = histogram_of(gates);
    }
    if (!layer.attention.empty()) {
        const AttentionSums all = sum_of(layer.attention);
        look.f_attn = all.first / all.count;
        look.entropy = all.entropy / all.count;
        look.max_logit = all.largest;
    }
    look.m_act = layer.residual.largest;
    const MagnitudeSums before = sum_of(layer.before), after = sum_of(layer.after);
    look.sdpa_mean = before.sum / before.count;
    look.sdpa_small = before.under[0] / before.count;
    if (after.count > 0) {
        look.gated_mean = after.sum / after.count;
        look.gated_small = after.under[0] / after.count;
    }
    if (layer.picks.empty()) return look;
    double picks = 0;
    for (const double of_expert : layer.picks) picks += of_expert;
    look.expert_load = *std::max_element(layer.picks.begin(), layer.picks.end()) / (picks / double(layer.picks.size()));
    look.router_entropy = layer.router_entropy;
    return look;
}

LayerLook look_at_all(const std::vector<LayerLook>& layers) {
    LayerLook all;
    for (const LookNumber& n : kLookNumbers) {
        double sum = 0, most = 0;
        int64_t count = 0;
        for (const LayerLook& layer : layers) {
            if (!(layer.*n.value)) continue;
            const double x = *(layer.*n.value);
            sum += x;
            most = count > 0 ? larger_of(most, x) : x;
            count++;
        }
        if (count > 0 && n.over != Over::nothing) all.*n.value = n.over == Over::mean ? sum / double(count) : most;
    }
    return all;
}

void add_look(MetricsRow& row, const std::vector<LayerLook>& layers) {
    if (layers.empty()) return;
    add_numbers(row, "probe/", look_at_all(layers));
    for (size_t l = 0; l < layers.size(); l++) add_numbers(row, "probe/layers/" + std::to_string(l) + "/", layers[l]);
}

}  // namespace sluice
