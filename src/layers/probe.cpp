#include "layers/probe.h"

#include <algorithm>
#include <limits>

#include "base/larger_of.h"
#include "layers/gated_shape.h"

namespace sluice {

ProbedHeads probed_heads(const GateSpec& gate, const ModelSpec& model, const MeshCoord& coord) {
    if (gate.position == Position::output) return {1, 0, 1, coord.sequence || coord.tensor_rank == 0};
    if (gate.heads != HeadSharing::specific) return {1, 0, 1, coord.tensor_rank == 0};
    const int64_t whole = gated_shape(gate.position, model).heads, parts = shard_by_head(whole, coord).parts;
    const int64_t copies = coord.tensor / parts, count = whole / parts;
    return {count, coord.tensor_rank / copies * count, whole, coord.tensor_rank % copies == 0};
}

std::vector<LayerSums> no_sums(const ModelSpec& model, const MeshCoord& coord) {
    std::vector<LayerSums> layers(static_cast<size_t>(model.layers));
    for (int64_t l = 0; l < model.layers; l++) {
        LayerSums& layer = layers[size_t(l)];
        for (const GateSpec& gate : model.gates.at(l))
            layer.gates.emplace_back(size_t(probed_heads(gate, model, coord).count));
        if (model.attention.at(l).kind == AttentionKind::softmax)
            layer.attention.assign(size_t(model.heads / coord.tensor),
                                   {0, 0, 0, -std::numeric_limits<double>::infinity()});
        layer.before.resize(size_t(model.heads / coord.tensor));
        layer.after.resize(layer.before.size());
        layer.picks.resize(size_t(model.moe.experts));
    }
    return layers;
}

std::vector<double> numbers_of(std::vector<LayerSums>& layers) {
    std::vector<double> numbers;
    for (LayerSums& layer : layers)
        layer.sums([&](const auto* sums, int64_t count) {
            const auto* first = reinterpret_cast<const double*>(sums);
            numbers.insert(numbers.end(), first, reinterpret_cast<const double*>(sums + count));
        });
    return numbers;
}

void set_numbers(std::vector<LayerSums>& layers, const std::vector<double>& numbers) {
    const double* next = numbers.data();
    for (LayerSums& layer : layers)
        layer.sums([&]<class Sums>(Sums* sums, int64_t count) {
            const int64_t size = count * int64_t(sizeof(Sums) / sizeof(double));
            std::copy_n(next, size, reinterpret_cast<double*>(sums));
            next += size;
        });
}

namespace {

// What this rank adds to the sums of all, in the places that it has there.
std::vector<LayerSums> part_of_all(const std::vector<LayerSums>& own, const ModelSpec& model, const MeshCoord& coord) {
    std::vector<LayerSums> all = no_sums(model);
    for (size_t l = 0; l < own.size(); l++) {
        const LayerSums& from = own[l];
        LayerSums& to = all[l];
        for (size_t j = 0; j < from.gates.size(); j++) {
            const ProbedHeads heads = probed_heads(model.gates.at(int64_t(l))[j], model, coord);
            if (heads.adds) std::copy_n(from.gates[j].begin(), heads.count, to.gates[j].begin() + heads.first);
        }
        const auto place = [&](const auto& heads, auto& of_all) {
            std::copy(heads.begin(), heads.end(), of_all.begin() + coord.tensor_rank * int64_t(heads.size()));
        };
        place(from.attention, to.attention);
        place(from.before, to.before);
        place(from.after, to.after);
        if (coord.sequence || coord.tensor_rank == 0) to.residual = from.residual;
        if (coord.tensor_rank > 0) continue;  // all ranks of the group route the same tokens
        to.picks = from.picks;
        to.router_entropy = from.router_entropy;
    }
    return all;
}

}  // namespace

// Each rank has places of its own for what is largest.
std::vector<LayerSums> sum_over_ranks(const std::vector<LayerSums>& own, const ModelSpec& model, Mesh& mesh) {
    std::vector<LayerSums> all = part_of_all(own, model, mesh.coord);
    std::vector<double> largest;
    for (LayerSums& layer : all)
        layer.largest([&](double& x) {
            largest.push_back(x);
            x = 0;
        });
    std::vector<double> numbers = numbers_of(all);
    const size_t sums = numbers.size();
    for (const LayerSums& layer : all) {
        numbers.insert(numbers.end(), layer.picks.begin(), layer.picks.end());
        numbers.push_back(layer.router_entropy);
    }
    const size_t places = numbers.size(), each = largest.size();
    numbers.resize(places + each * size_t(mesh.world.size()));
    std::copy(largest.begin(), largest.end(), numbers.begin() + int64_t(places + each * size_t(mesh.world.rank())));
    mesh.world.all_reduce(numbers.data(), int64_t(numbers.size()));

    set_numbers(all, numbers);
    const double *routed = numbers.data() + sums, *most = numbers.data() + places;
    for (LayerSums& layer : all) {
        for (double& picks : layer.picks) picks = *routed++;
        layer.router_entropy = *routed++;
        layer.largest([&](double& x) {
            x = *most;
            for (size_t r = 1; r < size_t(mesh.world.size()); r++) x = larger_of(x, most[r * each]);
            most++;
        });
    }
    return all;
}

}  // namespace sluice
