#include "optim/optimizer.h"

#include "kernels/memory.h"
#include "optim/adamw.h"

namespace sluice {

template <class B>
Optimizer<B>::Optimizer(const OptimizerSpec& spec, Model<B>& model, Mesh& mesh, const OptimizerShards& shards,
                        T* gradient_shards)
    : spec_(spec),
      zero_(gradient_shards != nullptr),
      stream_(model.stream()),
      state_("moments", size_t(shards.state_capacity()) * sizeof(T), memory_of<B>()),
      muon_(spec, model.tensors(), shards, mesh, zero_) {
    for (size_t i = 0; i < model.tensors().size(); i++) {
        const TensorInfo& t = model.tensors()[i];
        const OptimizerShard& shard = shards[i];
        const T* gradient = zero_ ? gradient_shards + shard.offset : model.gradients() + t.offset;
        T* states = reinterpret_cast<T*>(state_.data()) + shard.state;
        slots_.push_back({&t, &shard, model.weights() + t.offset, gradient, states});
    }
}

template <class B>
void Optimizer<B>::update(double lr, double grad_norm, int64_t number) {
    Update update{stream_, lr, 1, number, zero_};
    if (spec_.grad_clip > 0 && grad_norm > spec_.grad_clip) update.gradient_scale = spec_.grad_clip / grad_norm;
    for (size_t i = 0; i < slots_.size(); i++) {
        const Slot<T>& slot = slots_[i];
        if (!slot.tensor->trained()) continue;
        if (kind_of(*slot.tensor, spec_) == OptimizerKind::muon)
            muon_.update(i, slot, update);
        else
            adamw_update<B>(slot, spec_, update);
    }
}

UpdateCost update_cost(const TensorInfo& t, const OptimizerShard& shard, const MeshCoord& coord,
                       const OptimizerSpec& spec, int64_t item, int64_t gradient_item) {
    if (!t.trained() || kind_of(t, spec) != OptimizerKind::muon) return {};
    return muon_cost(t, shard, coord, item, gradient_item);
}

OptimizerBytes plan_optimizer(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                              bool zero, size_t item) {
    const OptimizerShards shards(tensors, coord, zero, spec);
    return {size_t(shards.state_capacity()) * item, size_t(shards.capacity()) * item,
            size_t(muon_scratch(tensors, coord, spec, zero).total()) * item};
}

#define INSTANTIATE(B) template class Optimizer<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
