#include "report/paper.h"

#include <cmath>
#include <functional>
#include <utility>

namespace sluice {
namespace {

using enum Position;

bool same(const GateSpec& a, const GateSpec& b) {
    return a.position == b.position && a.granularity == b.granularity && a.heads == b.heads && a.combine == b.combine &&
           a.activation == b.activation && a.scale == b.scale && a.input == b.input && a.input_width == b.input_width &&
           a.rank == b.rank && a.bias == b.bias;
}

// What a row of the paper has: at most one gate, or another change of the model.
struct Change {
    std::optional<GateSpec> gate;
    SdpaNorm norm = SdpaNorm::none;
    SdpaActivation activation = SdpaActivation::none;
    SwitchHeadsSpec switch_heads{};
    bool sandwich_norm = false;
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
Change switch_heads(SwitchTarget target, int64_t experts, int64_t top_k) {
    Change change;
    change.switch_heads = {target, experts, top_k};
    return change;
}
Change sandwich_norm() {
    Change change;
    change.sandwich_norm = true;
    return change;
}

bool has(const ModelSpec& model, const Change& change) {
    const SwitchHeadsSpec& s = model.switch_heads;
    if (s.target != change.switch_heads.target || model.sandwich_norm != change.sandwich_norm ||
        model.residual_clip > 0)
        return false;
    if (s.target != SwitchTarget::none &&
        (s.experts != change.switch_heads.experts || s.top_k != change.switch_heads.top_k))
        return false;
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

// Of the mixture of experts, after 400B tokens.
constexpr double kBaseline = 6.026, kBaselineMAct = 1053;
struct MoeRow {
    Change change;
    const char* name;
    double perplexity;
    std::optional<double> gate_score, m_act, f_attn;
};

const std::vector<MoeRow>& moe_rows() {
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
    static const std::vector<MoeRow> all{
        {{gate(sdpa)}, "Table 1: sdpa elementwise", 5.761, 0.116, 94, 0.048},
        {{gate(value)}, "Table 1: value elementwise", 5.820, 0.221, 125, 0.297},
        {{gate(key)}, "Table 1: key elementwise", 6.016, {}, {}, {}},
        {{gate(query)}, "Table 1: query elementwise", 5.981, {}, {}, {}},
        {{gate(output)}, "Table 1: output elementwise", 6.017, {}, {}, {}},
        {{gate(sdpa, Granularity::headwise)}, "Table 1: sdpa headwise", 5.792, 0.172, 98, 0.073},
        {{gate(value, Granularity::headwise)}, "Table 1: value headwise", 5.808, {}, {}, {}},
        {{with(gate(sdpa), averaged)}, "Table 1: sdpa averaged over heads", 5.801, 0.271, 286, 0.301},
        {{with(gate(value), averaged)}, "Table 1: value averaged over heads", 5.867, {}, {}, {}},
        {{with(gate(sdpa), additive(Activation::silu))}, "Table 1: sdpa additive silu", 5.821, {}, {}, {}},
        {{with(gate(sdpa), silu)}, "Table 1: sdpa elementwise silu", 5.822, {}, {}, {}},
        {{with(gate(sdpa), additive(Activation::identity))}, "Table 3: sdpa additive identity", 5.882, {}, {}, {}},
        {{{}, SdpaNorm::rmsnorm}, "Table 3: sdpa_norm rmsnorm", 5.847, {}, {}, {}},
        {{{}, SdpaNorm::none, SdpaActivation::silu}, "Table 3: sdpa_activation silu", 5.975, {}, {}, {}},
        {{with(gate(sdpa), constant)}, "Table 4: sdpa input-independent", 5.917, 0.335, 471, 0.364},
        {{with(gate(sdpa), ns_sigmoid)}, "Table 4: sdpa elementwise ns_sigmoid", 5.900, 0.653, 892, 0.451},
        {switch_heads(SwitchTarget::kv, 8, 8), "Table 6: switch kv, 8 top 8", 5.847, {}, {}, {}},
        {switch_heads(SwitchTarget::kv, 4, 4), "Table 6: switch kv, 4 top 4", 5.935, {}, {}, {}},
        {switch_heads(SwitchTarget::v, 4, 4), "Table 6: switch v, 4 top 4", 5.820, {}, {}, {}},
        {switch_heads(SwitchTarget::v, 8, 2), "Table 6: switch v, 8 top 2", 5.870, {}, {}, {}},
        {switch_heads(SwitchTarget::v, 1, 1), "Table 6: switch v, 1 top 1", 5.808, {}, {}, {}},
    };
    return all;
}

std::optional<PaperRow> moe_row(const ModelSpec& model) {
    for (const MoeRow& row : moe_rows())
        if (has(model, row.change))
            return PaperRow{row.name,
                            row.perplexity,
                            kBaseline,
                            row.gate_score,
                            row.m_act ? std::optional(*row.m_act / kBaselineMAct) : std::nullopt,
                            row.f_attn};
    return {};
}

// The row of a baseline that was made larger as this one: by more query heads, key-value heads or experts alone.
std::optional<PaperRow> larger_row(const ModelSpec& model, const ModelSpec& baseline) {
    const bool heads = model.heads > baseline.heads, kv_heads = model.kv_heads > baseline.kv_heads,
               experts = model.moe.experts > baseline.moe.experts;
    if (heads + kv_heads + experts != 1) return {};
    const auto row = [](const char* name, double perplexity) {
        return PaperRow{name, perplexity, kBaseline, {}, {}, {}};
    };
    if (heads) return row("Table 1: q=48", 5.953);
    if (kv_heads) return row("Table 1: k=8", 5.979);
    return row("Table 1: 4 more experts", 5.964);
}

// Of dense models, whose baselines are of the same depth, learning rate and tokens.
struct DenseRow {
    int64_t layers;
    double rate, tokens;
    Change change;
    const char* name;
    double perplexity, of_baseline;
};

const std::vector<DenseRow>& dense_rows() {
    const Change elementwise{gate(sdpa)}, headwise{gate(sdpa, Granularity::headwise)};
    static const std::vector<DenseRow> all{
        {28, 4e-3, 400e9, elementwise, "Table 2: sdpa elementwise, 28 layers at 4e-3", 7.404, 7.499},
        {28, 4.5e-3, 3500e9, elementwise, "Table 2: sdpa elementwise, 28 layers at 4.5e-3, 3.5T tokens", 6.130, 6.180},
        {48, 4e-3, 400e9, elementwise, "Table 2: sdpa elementwise, 48 layers at 4e-3", 7.288, 7.421},
        {48, 4e-3, 400e9, headwise, "Table 2: sdpa headwise, 48 layers at 4e-3", 7.370, 7.421},
        {48, 8e-3, 400e9, elementwise, "Table 2: sdpa elementwise, 48 layers at 8e-3", 7.325, 9.195},
        {48, 8e-3, 400e9, sandwich_norm(), "Table 2: sandwich norm, 48 layers at 8e-3", 7.407, 9.195},
        {48, 5.3e-3, 1000e9, elementwise, "Table 2: sdpa elementwise, 48 layers at 5.3e-3, 1T tokens", 7.101, 7.363},
    };
    return all;
}

std::optional<PaperRow> dense_row(const Config& config, double least_rate) {
    const auto near = [](double a, double b) { return std::abs(a - b) <= 0.02 * b; };
    const double rate = config.optimizer.lr, usual_rate = rate >= 2 * least_rate ? 8e-3 : 4e-3;
    const double tokens = double(config.train.steps * config.train.batch * config.data.sequence_length);
    const DenseRow* found = nullptr;
    for (const DenseRow& row : dense_rows()) {
        if (!has(config.model, row.change)) continue;
        const bool exact = row.layers == config.model.layers && near(rate, row.rate) && near(tokens, row.tokens);
        const bool usual = row.layers == 48 && row.rate == usual_rate && row.tokens == 400e9;
        if (exact || (usual && !found)) found = &row;
        if (exact) break;
    }
    if (!found) return {};
    return PaperRow{found->name, found->perplexity, found->of_baseline, {}, {}, {}};
}

}  // namespace

std::optional<PaperRow> paper_baseline(const Config& baseline) {
    if (!has(baseline.model, {})) return {};
    return PaperRow{"Table 1: baseline", kBaseline, kBaseline, {}, 1, 0.467};
}

std::vector<PaperRow> paper_rows(const Config& config, const Config& baseline, double least_rate) {
    if (!has(baseline.model, {})) return {};
    const auto row = has(config.model, {}) ? larger_row(config.model, baseline.model) : moe_row(config.model);
    std::vector<PaperRow> rows;
    if (row) rows.push_back(*row);
    if (baseline.model.moe.experts == 0)
        if (const auto dense = dense_row(config, least_rate)) rows.push_back(*dense);
    return rows;
}

}  // namespace sluice
