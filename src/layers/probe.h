// What a look at passes adds up for a layer: where the ops add in the backend's memory, and the same on the host.
#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

#include "config/specs.h"
#include "kernels/probe_math.h"
#include "parallel/mesh.h"

namespace sluice {

struct LayerSums {
    std::vector<std::vector<GateSums>> gates;  // of each gate, by head of its scores
    std::vector<AttentionSums> attention;      // by query head; empty where attention is not softmax's
    // By query head: what sdpa gates read, and what they make of it, with counts of 0 where there are none.
    std::vector<MagnitudeSums> before, after;
    MagnitudeSums residual;  // behind the layer
    // Of experts, which routing counts: assignments to each, and what routers add to the entropy (RouterSums).
    std::vector<double> picks;
    double router_entropy = 0;

    // Calls v(first, count) for all sums of the ops, arrays of structs of double.
    template <class V>
    void sums(V&& v) {
        for (std::vector<GateSums>& gate : gates) v(gate.data(), int64_t(gate.size()));
        v(attention.data(), int64_t(attention.size()));
        for (std::vector<MagnitudeSums>* m : {&before, &after}) v(m->data(), int64_t(m->size()));
        v(&residual, int64_t{1});
    }
    // Calls v(x) for all numbers that are the largest of many, and so do not add up over ranks.
    template <class V>
    void largest(V&& v) {
        for (AttentionSums& head : attention) v(head.largest);
        for (std::vector<MagnitudeSums>* m : {&before, &after})
            for (MagnitudeSums& head : *m) v(head.largest);
        v(residual.largest);
    }
};

// Of heads together; parts: at least one.
template <class Sums>
Sums sum_of(const std::vector<Sums>& parts) {
    Sums all = parts.at(0);
    for (size_t i = 1; i < parts.size(); i++) add(all, parts[i]);
    return all;
}

// The heads of a gate's scores on a rank: `count` of `whole`, from `first` on. Of ranks that have the same ones, one
// adds what it found (`adds`).
struct ProbedHeads {
    int64_t count, first, whole;
    bool adds;
};
ProbedHeads probed_heads(const GateSpec& gate, const ModelSpec& model, const MeshCoord& coord);

// (layers), of what the rank at `coord` has, before anything is added.
std::vector<LayerSums> no_sums(const ModelSpec& model, const MeshCoord& coord = {});
// All sums as one array, in the order of `sums`; and back.
std::vector<double> numbers_of(std::vector<LayerSums>& layers);
void set_numbers(std::vector<LayerSums>& layers, const std::vector<double>& numbers);
// What all ranks of the mesh added up, from what each did. Collective over the world.
std::vector<LayerSums> sum_over_ranks(const std::vector<LayerSums>& own, const ModelSpec& model, Mesh& mesh);

// Where a layer's sums are in the backend's memory.
template <class B>
struct LayerProbe {
    std::vector<GateSums*> gates;
    AttentionSums* attention = nullptr;
    MagnitudeSums *before = nullptr, *after = nullptr, *residual = nullptr;
    double sdpa_factor = 1;  // of what `before` adds up
    // Where attention_map() of the pass goes, (tokens, tokens); null: nowhere.
    typename B::A* map = nullptr;
    int64_t map_tokens = 0;
};
// (layers), with their sums in `numbers`, an array as of numbers_of(layers).
template <class B>
std::vector<LayerProbe<B>> probes_at(double* numbers, std::vector<LayerSums> layers) {
    std::vector<LayerProbe<B>> probes;
    for (LayerSums& layer : layers) {
        LayerProbe<B>& probe = probes.emplace_back();
        std::vector<MagnitudeSums*> magnitudes;
        layer.sums([&]<class Sums>(Sums*, int64_t count) {
            auto* at = reinterpret_cast<Sums*>(numbers);
            if constexpr (std::is_same_v<Sums, GateSums>)
                probe.gates.push_back(at);
            else if constexpr (std::is_same_v<Sums, AttentionSums>)
                probe.attention = at;
            else
                magnitudes.push_back(at);
            numbers += count * int64_t(sizeof(Sums) / sizeof(double));
        });
        probe.before = magnitudes[0];
        probe.after = magnitudes[1];
        probe.residual = magnitudes[2];
    }
    return probes;
}

}  // namespace sluice
