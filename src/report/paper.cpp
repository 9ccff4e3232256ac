#include "report/paper.h"

#include <functional>

namespace sluice {
namespace {

using enum Position;

bool same(const GateSpec& a, const GateSpec& b) {
    return a.position == b.position && a.granularity == b.granularity && a.heads == b.heads && a.combine == b.combine &&
           a.activation == b.activation && a.scale == b.scale && a.input == b.input && a.input_width == b.input_width &&
           a.rank == b.rank && a.bias == b.bias;
}

// What a row of the paper has: at most one gate, or another change of attention.
struct Change {
    std::optional<GateSpec> gate;
    SdpaNorm norm = SdpaNorm::none;
    SdpaActivation activation = SdpaActivation::none;
};

GateSpec gate(Position position, Granularity granularity = Granularity::elementwise) {
    GateSpec spec;
    spec.position = position;
    spec.granularity = granularity;
    return spec;
}
GateSpec with(GateSpec spec, const std::function<void(GateSpec&)>& change) {
    change(spec);
    return spec;
}

const std::vector<std::pair<Change, PaperRow>>& rows() {
    const auto averaged = [](GateSpec& g) { g.heads = HeadSharing::averaged; };
    const auto silu = [](GateSpec& g) { g.activation = Activation::silu; };
    const auto additive = [](Activation activation) {
        return [activation](GateSpec& g) {
            g.combine = Combine::add;
            g.activation = activation;
        };
    };
    const auto constant = [](GateSpec& g) { g.input = GateInput::none; };
    const auto ns_sigmoid = [](GateSpec& g) { g.activation = Activation::ns_sigmoid; };
    static const std::vector<std::pair<Change, PaperRow>> all{
        {{}, {"baseline", 6.026, {}, 1053, 0.467}},
        {{gate(sdpa)}, {"sdpa elementwise", 5.761, 0.116, 94, 0.048}},
        {{gate(value)}, {"value elementwise", 5.820, 0.221, 125, 0.297}},
        {{gate(key)}, {"key elementwise", 6.016, {}, {}, {}}},
        {{gate(query)}, {"query elementwise", 5.981, {}, {}, {}}},
        {{gate(output)}, {"output elementwise", 6.017, {}, {}, {}}},
        {{gate(sdpa, Granularity::headwise)}, {"sdpa headwise", 5.792, 0.172, 98, 0.073}},
        {{gate(value, Granularity::headwise)}, {"value headwise", 5.808, {}, {}, {}}},
        {{with(gate(sdpa), averaged)}, {"sdpa averaged over heads", 5.801, 0.271, 286, 0.301}},
        {{with(gate(value), averaged)}, {"value averaged over heads", 5.867, {}, {}, {}}},
        {{with(gate(sdpa), additive(Activation::silu))}, {"sdpa additive silu", 5.821, {}, {}, {}}},
        {{with(gate(sdpa), additive(Activation::identity))}, {"sdpa additive identity", 5.882, {}, {}, {}}},
        {{with(gate(sdpa), silu)}, {"sdpa elementwise silu", 5.822, {}, {}, {}}},
        {{with(gate(sdpa), constant)}, {"sdpa input-independent", 5.917, 0.335, 471, 0.364}},
        {{with(gate(sdpa), ns_sigmoid)}, {"sdpa elementwise ns_sigmoid", 5.900, 0.653, 892, 0.451}},
        {{{}, SdpaNorm::rmsnorm}, {"sdpa_norm rmsnorm", 5.847, {}, {}, {}}},
        {{{}, SdpaNorm::none, SdpaActivation::silu}, {"sdpa_activation silu", 5.975, {}, {}, {}}},
    };
    return all;
}

bool has(const ModelSpec& model, const Change& change) {
    for (int64_t l = 0; l < model.layers; l++) {
        const std::vector<GateSpec>& gates = model.gates.at(l);
        const AttentionSpec& attention = model.attention.at(l);
        if (attention.kind != AttentionKind::softmax || attention.sdpa_norm != change.norm ||
            attention.sdpa_activation != change.activation || gates.size() != size_t(change.gate.has_value()))
            return false;
        if (change.gate && !same(gates[0], *change.gate)) return false;
    }
    return true;
}

}  // namespace

std::optional<PaperRow> paper_row(const ModelSpec& model) {
    if (model.switch_heads.target != SwitchTarget::none || model.sandwich_norm || model.residual_clip > 0) return {};
    for (const auto& [change, row] : rows())
        if (has(model, change)) return row;
    return {};
}

std::optional<PaperRow> paper_row_of_larger(const ModelSpec& model, const ModelSpec& baseline) {
    const bool heads = model.heads > baseline.heads, kv_heads = model.kv_heads > baseline.kv_heads,
               experts = model.moe.experts > baseline.moe.experts;
    if (heads + kv_heads + experts != 1) return {};
    if (heads) return PaperRow{"q=48", 5.953, {}, {}, {}};
    if (kv_heads) return PaperRow{"k=8", 5.979, {}, {}, {}};
    return PaperRow{"4 more experts", 5.964, {}, {}, {}};
}

}  // namespace sluice
