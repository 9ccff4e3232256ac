#include "optim/optimizer.h"

#include "kernels/backend.h"
#include "optim/adamw.h"

namespace sluice {

template <class B>
Optimizer<B>::Optimizer(const OptimizerSpec& spec, Model<B>& model, Mesh& mesh, const Shares& shares,
                        T* gradient_shares)
    : spec_(spec),
      zero_(gradient_shares != nullptr),
      state_("moments", size_t(shares.state_room()) * sizeof(T)),
      muon_(spec, model.tensors(), shares, mesh, zero_) {
    for (size_t i = 0; i < model.tensors().size(); i++) {
        const TensorInfo& t = model.tensors()[i];
        const Share& share = shares[i];
        const T* gradient = zero_ ? gradient_shares + share.offset : model.gradients() + t.offset;
        T* state = reinterpret_cast<T*>(state_.data()) + share.state;
        slots_.push_back({&t, &share, model.weights() + t.offset, gradient, {state, state + share.room}});
    }
}

template <class B>
void Optimizer<B>::update(double lr, double grad_norm, int64_t number) {
    Update update{lr, 1, number, zero_};
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

UpdateCost update_cost(const TensorInfo& t, const Share& share, const Place& place, const OptimizerSpec& spec,
                       int64_t item, int64_t gradient_item) {
    if (!t.trained() || kind_of(t, spec) != OptimizerKind::muon) return {};
    return muon_cost(t, share, place, item, gradient_item);
}

OptimizerBytes plan_optimizer(const std::vector<TensorInfo>& tensors, const Place& place, const OptimizerSpec& spec,
                              bool zero, size_t item) {
    const Shares shares(tensors, place, zero, spec);
    return {size_t(shares.state_room()) * item, size_t(shares.room()) * item,
            size_t(muon_scratch(tensors, place, spec, zero).total()) * item};
}

#define INSTANTIATE(B) template class Optimizer<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
