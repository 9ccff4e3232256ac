// What an inspection found, as JSON and as a table.
#include <fmt/format.h>

#include <algorithm>

#include "apps/inspect.h"
#include "base/format.h"
#include "base/utf8.h"
#include "layers/gated_shape.h"
#include "log/layer_look.h"

namespace sluice {
namespace {

constexpr size_t kShownText = 200;  // characters

// How many heads the rows of a gate's weights belong to: those of an averaged gate are of all heads.
size_t heads_of_rows(const GateSpec& gate, const ModelSpec& model) {
    return gate.heads == HeadSharing::shared ? 1 : size_t(gated_shape(gate.position, model).heads);
}

Json gate_numbers(const GateSums& gates) {
    const Histogram histogram = histogram_of(gates);
    return {{"mean", gates.sum / gates.count},
            {"under",
             {{"0.01", gates.under[0] / gates.count},
              {"0.1", gates.under[1] / gates.count},
              {"0.5", gates.under[2] / gates.count}}},
            {"histogram", {{"low", histogram.low}, {"width", histogram.width}, {"shares", histogram.shares}}}};
}

Json row_norms_json(const std::vector<double>& norms, size_t heads) {
    if (norms.empty()) return nullptr;
    double sum = 0;
    Json per_head = Json::array();
    const size_t rows = norms.size() / heads;
    for (size_t h = 0; h < heads; h++) {
        double of_head = 0;
        for (size_t r = h * rows; r < (h + 1) * rows; r++) of_head += norms[r];
        per_head.push_back(of_head / double(rows));
        sum += of_head;
    }
    return {{"mean", sum / double(norms.size())},
            {"min", *std::min_element(norms.begin(), norms.end())},
            {"max", *std::max_element(norms.begin(), norms.end())},
            {"per_head", per_head}};
}

// heads_of_rows: how many heads the rows of its weights belong to.
Json gate_json(const GateSpec& spec, size_t index, const std::vector<GateSums>& heads,
               const std::vector<double>& row_norms, size_t heads_of_rows) {
    Json per_head = Json::array();
    for (const GateSums& head : heads) per_head.push_back(gate_numbers(head));
    Json json{{"gate", index},
              {"position", enum_name(spec.position)},
              {"granularity", enum_name(spec.granularity)},
              {"heads", enum_name(spec.heads)},
              {"activation", enum_name(spec.activation)}};
    json.update(gate_numbers(sum_of(heads)));
    json["per_head"] = per_head;
    json["row_norms"] = row_norms_json(row_norms, heads_of_rows);
    return json;
}

Json attention_json(const std::vector<AttentionSums>& heads) {
    if (heads.empty()) return nullptr;
    const auto numbers = [](const AttentionSums& a) {
        return Json{{"f_attn", a.first / a.count}, {"entropy", a.entropy / a.count}, {"max_logit", a.largest}};
    };
    Json json = numbers(sum_of(heads)), per_head = Json::array();
    for (const AttentionSums& head : heads) per_head.push_back(numbers(head));
    json["per_head"] = per_head;
    return json;
}

Json magnitudes_json(const std::vector<MagnitudeSums>& heads) {
    if (heads.empty() || heads[0].count == 0) return nullptr;
    const auto numbers = [](const MagnitudeSums& m) {
        return Json{{"mean_abs", m.sum / m.count},
                    {"under", {{"0.01", m.under[0] / m.count}, {"0.001", m.under[1] / m.count}}}};
    };
    Json json = numbers(sum_of(heads)), per_head = Json::array();
    for (const MagnitudeSums& head : heads) per_head.push_back(numbers(head));
    json["per_head"] = per_head;
    return json;
}

Json moe_json(const LayerSums& sums) {
    if (sums.picks.empty()) return nullptr;
    double all = 0;
    for (const double picks : sums.picks) all += picks;
    Json load = Json::array();
    for (const double picks : sums.picks) load.push_back(picks / all);
    return {{"load", load}, {"entropy", sums.router_entropy}};
}

Json map_json(const std::vector<double>& map, const std::vector<std::string>& tokens) {
    if (map.empty()) return nullptr;
    Json weights = Json::array();
    const auto n = int64_t(tokens.size());
    for (int64_t t = 0; t < n; t++)
        weights.push_back(std::vector<double>(map.begin() + t * n, map.begin() + (t + 1) * n));
    return {{"tokens", tokens}, {"weights", weights}};
}

std::string first_characters(const std::string& text) {
    size_t end = 0;
    for (size_t characters = 0; end < text.size(); end++)
        if (begins_character(text[end]) && characters++ == kShownText) break;
    return text.substr(0, end);
}

}  // namespace

Json inspection_json(const Opened& opened, const Inspection& inspection, const InspectionNames& names, int64_t tokens) {
    const ModelSpec& model = opened.config.model;
    Json layers = Json::array();
    for (size_t l = 0; l < inspection.layers.size(); l++) {
        const InspectedLayer& from = inspection.layers[l];
        Json gates = Json::array();
        for (size_t j = 0; j < from.sums.gates.size(); j++) {
            const GateSpec& spec = model.gates.at(int64_t(l))[j];
            gates.push_back(gate_json(spec, j, from.sums.gates[j], from.row_norms[j], heads_of_rows(spec, model)));
        }
        Json layer{{"layer", l},
                   {"gates", gates},
                   {"attention", attention_json(from.sums.attention)},
                   {"sdpa",
                    {{"before", magnitudes_json(from.sums.before)},
                     {"after", magnitudes_json(from.sums.after)},
                     {"mean_score", magnitudes_json(from.mean_score)}}},
                   {"m_act", from.sums.residual.largest},
                   {"moe", moe_json(from.sums)}};
        if (std::binary_search(names.mapped_layers.begin(), names.mapped_layers.end(), int64_t(l)))
            layer["map"] = map_json(from.map, names.map_tokens);
        layers.push_back(layer);
    }
    return {{"step", opened.checkpoint.info.step},
            {"checkpoint", opened.checkpoint.path.string()},
            {"text", names.text.empty() ? Json(nullptr) : Json(first_characters(names.text))},
            {"tokens", tokens},
            {"layers", layers}};
}

// Without the columns that no layer has.
std::string inspection_table(const Inspection& inspection) {
    struct Column {
        const char* name;
        std::optional<double> LayerLook::*value;
        int decimals;
    };
    constexpr Column kColumns[] = {
        {"gate", &LayerLook::gate_mean, 3},          {"gate<0.1", &LayerLook::gate_sparsity, 3},
        {"F-Attn", &LayerLook::f_attn, 3},           {"entropy", &LayerLook::entropy, 2},
        {"max logit", &LayerLook::max_logit, 2},     {"M-Act", &LayerLook::m_act, 1},
        {"|SDPA|", &LayerLook::sdpa_mean, 4},        {"<0.01", &LayerLook::sdpa_small, 3},
        {"gated", &LayerLook::gated_mean, 4},        {"<0.01", &LayerLook::gated_small, 3},
        {"expert load", &LayerLook::expert_load, 2}, {"router entropy", &LayerLook::router_entropy, 2}};
    std::vector<LayerLook> looks;
    for (const InspectedLayer& layer : inspection.layers) looks.push_back(look_at(layer.sums));
    std::string table = "layer";
    const auto there = [&](const Column& c) {
        return std::any_of(looks.begin(), looks.end(), [&](const LayerLook& look) { return look.*c.value; });
    };
    for (const Column& c : kColumns)
        if (there(c)) table += fmt::format("  {:>8}", c.name);  // a longer name is a wider column
    for (size_t l = 0; l < looks.size(); l++) {
        table += fmt::format("\n{:>5}", l);
        for (const Column& c : kColumns) {
            if (!there(c)) continue;
            const auto value = looks[l].*c.value;
            table += fmt::format("  {:>{}}", value ? format_fixed(*value, c.decimals) : "-",
                                 std::max<size_t>(8, std::string_view(c.name).size()));
        }
    }
    return table + "\n";
}

}  // namespace sluice
