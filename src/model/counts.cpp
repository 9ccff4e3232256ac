#include "model/counts.h"

#include "model/model.h"

namespace sluice {

void ModelCost::each(Recompute recompute, const std::function<void(const Cost&, bool recomputed)>& visit) const {
    const bool both = recompute == Recompute::block;
    for (size_t l = 0; l < blocks.size(); l++) {
        const bool last = l + 1 == blocks.size();
        visit(blocks[l].attention, !last && (both || recompute == Recompute::attention));
        visit(blocks[l].ffn, !last && (both || recompute == Recompute::ffn));
    }
    visit(rest, false);
}

Cost ModelCost::total() const {
    Cost sum;
    each(Recompute::none, [&](const Cost& cost, bool) { sum += cost; });
    return sum;
}

ModelCost model_cost(const ModelSpec& spec, const Workload& load, const MeshCoord& coord) {
    ModelCost cost;
    for (int64_t l = 0; l < spec.layers; l++) {
        const Block<PlannedFp32> block(spec, l, coord);
        cost.blocks.push_back({block.attention.cost(load), block.ffn.cost(load)});
    }
    Cost& rest = cost.rest = LmHead<PlannedFp32>(spec, coord).cost(load);
    rest.parameters = rest.active = spec.vocab * spec.hidden * (spec.tie_embeddings ? 1 : 2) + spec.hidden;
    rest.forward.reduce_partial(load, coord, spec.hidden);  // of the embedding
    rest.backward.gather_sequence(load, coord, spec.hidden);
    return cost;
}

// ---------------------------------------------------------------- sums
ParameterCounts count_parameters(const ModelSpec& spec) {
    const Cost cost = model_cost(spec, {1, 1, 0}).total();
    return {cost.parameters, cost.active, cost.gates};
}

double flops_per_token(const ModelSpec& spec, int64_t length) {
    return model_cost(spec, {length, length, 0}).total().flops();
}

double flops_per_token_full_square(const ModelSpec& spec, int64_t length) {
    return model_cost(spec, {length, length, 0}).total().flops_full_square();
}

}  // namespace sluice
