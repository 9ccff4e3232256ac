#include "eval/inspect.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/math.h"
#include "kernels/memory.h"

namespace sluice {
namespace {

// What probes add up over the text. sdpa_factors: as of Model::reset_totals.
template <class B>
std::vector<LayerSums> look(Model<B>& model, const InspectedText& text, const double* sdpa_factors) {
    const MeshCoord& coord = model.mesh().coord;
    const int64_t tokens = int64_t(text.tokens.size()), whole = tokens / text.length, rest = tokens % text.length;
    const int64_t full = ceil_div(whole, text.sequences);  // passes over windows of full length
    model.reset_totals(true, sdpa_factors);
    const auto run = [&](int64_t first_token, Batch batch) {
        model.hidden_states(batch, text.tokens.data() + first_token,
                            text.doc_start.empty() ? nullptr : text.doc_start.data() + first_token);
    };
    // Pass p is data-parallel rank p's modulo their number. Forward is collective over an expert group, so that a rank
    // without a pass in the last round runs one without tokens.
    for (int64_t p = coord.data_rank; p < ceil_div(full + (rest > 0), coord.data) * coord.data; p += coord.data) {
        const int64_t window = p * text.sequences;
        if (p < full)
            run(window * text.length, {std::min(text.sequences, whole - window), text.length});
        else if (p == full && rest > 0)
            run(whole * text.length, {1, rest});
        else
            run(0, {0, 0});
    }
    std::vector<LayerSums> all = sum_over_ranks(model.totals().probes, model.spec(), model.mesh());
    for (LayerSums& layer : all) layer.router_entropy /= double(tokens);
    return all;
}

// The product of the mean factors of a layer's sdpa gates; empty where there are none, or one that adds.
std::optional<double> mean_factor(const std::vector<GateSpec>& gates, const LayerSums& sums) {
    std::optional<double> product;
    for (size_t j = 0; j < gates.size(); j++) {
        if (gates[j].position != Position::sdpa) continue;
        if (gates[j].combine != Combine::multiply) return std::nullopt;
        const GateSums all = sum_of(sums.gates[j]);
        product = product.value_or(1) * (all.sum / all.count);
    }
    return product;
}

// The norms of the rows of a tensor (rows, width). Ranks that hold the same rows count them.
template <class B>
std::vector<double> row_norms(const Model<B>& model, const TensorInfo& t) {
    using T = typename B::T;
    const size_t rows = size_t(t.shape[0]), width = size_t(t.shape[1]);
    std::vector<T> held(size_t(t.count));
    Memory& memory = memory_of<B>();
    memory.to_host(model.stream(), held.data(), model.weights() + t.offset, held.size() * sizeof(T));
    memory.wait(model.stream());
    std::vector<double> sums(2 * rows);  // norms, and how many ranks added them
    for (size_t r = 0; r < size_t(t.box.shape[0]); r++) {
        double squares = 0;
        for (size_t i = 0; i < width; i++) squares += double(held[r * width + i]) * double(held[r * width + i]);
        sums[size_t(t.box.start[0]) + r] = std::sqrt(squares);
        sums[rows + size_t(t.box.start[0]) + r] = 1;
    }
    model.mesh().world.all_reduce(sums.data(), int64_t(sums.size()));
    for (size_t r = 0; r < rows; r++) sums[r] /= sums[rows + r];
    sums.resize(rows);
    return sums;
}

template <class B>
void add_row_norms(Model<B>& model, std::vector<InspectedLayer>& layers) {
    for (size_t l = 0; l < layers.size(); l++) {
        const auto& gates = model.spec().gates.at(int64_t(l));
        layers[l].row_norms.resize(gates.size());
        for (size_t j = 0; j < gates.size(); j++) {
            const std::string prefix = "layers." + std::to_string(l) + ".attention.gates." + std::to_string(j) + ".";
            const std::string name = prefix + (gates[j].rank > 0 ? "up.weight" : "weight");
            for (const TensorInfo& t : model.tensors())
                if (t.name == name) layers[l].row_norms[j] = row_norms(model, t);
        }
    }
}

// Only ranks that had the first window have a map of it.
template <class B>
void add_maps(Model<B>& model, Inspection& inspection) {
    const int64_t n = inspection.map_tokens, heads = model.spec().heads, layers = model.spec().layers;
    std::vector<double> all(size_t(layers * n * n));
    if (model.mesh().coord.data_rank == 0) {
        const auto maps = model.attention_maps();
        std::transform(maps.begin(), maps.end(), all.begin(), [&](auto x) { return double(x) / double(heads); });
    }
    model.mesh().world.all_reduce(all.data(), int64_t(all.size()));
    for (int64_t l = 0; l < layers; l++)
        if (model.spec().attention.at(l).kind == AttentionKind::softmax)
            inspection.layers[size_t(l)].map.assign(all.begin() + l * n * n, all.begin() + (l + 1) * n * n);
}

}  // namespace

template <class B>
Inspection inspect(Model<B>& model, const InspectedText& text) {
    Inspection inspection;
    inspection.map_tokens = std::min({kMapTokens, text.length, int64_t(text.tokens.size())});
    std::vector<std::optional<double>> factors;
    for (LayerSums& sums : look(model, text, nullptr)) {
        factors.push_back(mean_factor(model.spec().gates.at(int64_t(factors.size())), sums));
        inspection.layers.push_back({std::move(sums), {}, {}, {}});
    }
    add_maps(model, inspection);
    add_row_norms(model, inspection.layers);
    if (std::none_of(factors.begin(), factors.end(), [](const auto& factor) { return factor.has_value(); }))
        return inspection;
    std::vector<double> or_one;
    for (const auto& factor : factors) or_one.push_back(factor.value_or(1));
    std::vector<LayerSums> again = look(model, text, or_one.data());
    for (size_t l = 0; l < again.size(); l++)
        if (factors[l]) inspection.layers[l].mean_score = std::move(again[l].before);
    return inspection;
}

#define INSTANTIATE(B) template Inspection inspect(Model<B>&, const InspectedText&);
SLUICE_BACKENDS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace sluice
