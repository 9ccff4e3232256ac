#include "optim/cost.h"

#include "optim/matrices.h"

namespace sluice {

UpdateCost update_cost(const TensorInfo& t, const OptimizerShard& shard, const MeshCoord& coord,
                       const OptimizerSpec& spec, int64_t item, int64_t gradient_item) {
    if (!t.trained() || kind_of(t, spec) != OptimizerKind::muon) return {};
    return muon_cost(t, shard, coord, item, gradient_item);
}

template <class B>
OptimizerBytes plan_optimizer(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                              bool zero) {
    const OptimizerShards shards(tensors, coord, zero, spec);
    const size_t capacity = size_t(shards.capacity());
    return {size_t(shards.state_capacity()) * sizeof(typename B::A),
            kHasMasters<B> ? capacity * sizeof(typename B::A) : 0, zero ? capacity * sizeof(typename B::G) : 0,
            size_t(muon_scratch(tensors, coord, spec, zero).total()) * sizeof(typename B::T)};
}

#define INSTANTIATE(B)                                                                                                \
    template OptimizerBytes plan_optimizer<B>(const std::vector<TensorInfo>&, const MeshCoord&, const OptimizerSpec&, \
                                              bool);
SLUICE_PLANNED(INSTANTIATE)

}  // namespace sluice
