#include "optim/optimizer.h"

#include <map>

#include "kernels/memory.h"
#include "model/initial_values.h"

namespace sluice {

template <class B>
Optimizer<B>::Optimizer(const OptimizerSpec& spec, Model<B>& model, Mesh& mesh, const OptimizerShards& shards,
                        G* gradient_shards)
    : spec_(spec),
      mesh_(mesh),
      zero_(gradient_shards != nullptr),
      stream_(model.stream()),
      state_("the optimizer's state", size_t(shards.state_capacity() + (kMasters ? shards.capacity() : 0)) * sizeof(A),
             memory_of<B>()),
      slots_(make_slots(spec, model, shards, gradient_shards, reinterpret_cast<A*>(state_.data()))),
      adamw_(spec, slots_of(OptimizerKind::adamw), zero_, stream_),
      muon_(spec, model.tensors(), shards, mesh, zero_) {}

template <class B>
std::vector<Slot<B>> Optimizer<B>::make_slots(const OptimizerSpec& spec, Model<B>& model, const OptimizerShards& shards,
                                              const G* gradient_shards, A* state) {
    std::vector<Slot<B>> slots;
    std::map<OptimizerKind, A*> first_of;  // state array of each optimizer
    for (const auto& [word, kind] : EnumNames<OptimizerKind>::all) {
        first_of[kind] = state;
        state += shards.state_length(kind) * int64_t(state_of(kind).prefixes.size() + kMasters);
    }
    for (size_t i = 0; i < model.tensors().size(); i++) {
        const TensorInfo& t = model.tensors()[i];
        const OptimizerShard& shard = shards[i];
        const OptimizerKind kind = kind_of(t, spec);
        const G* gradient = gradient_shards ? gradient_shards + shard.offset : model.gradients() + t.offset;
        Slot<B> slot{&t,
                     &shard,
                     model.weights() + t.offset,
                     gradient,
                     first_of[kind] + shard.state,
                     shards.state_length(kind),
                     nullptr};
        if (kMasters) slot.master = slot.state(state_of(kind).prefixes.size());
        slots.push_back(slot);
    }
    return slots;
}

template <class B>
std::vector<Slot<B>> Optimizer<B>::slots_of(OptimizerKind kind) const {
    std::vector<Slot<B>> slots;
    for (const Slot<B>& slot : slots_)
        if (slot.tensor->trained() && kind_of(*slot.tensor, spec_) == kind) slots.push_back(slot);
    return slots;
}

template <class B>
void Optimizer<B>::update(double lr, double grad_norm, int64_t number) {
    Update update{stream_, lr, 1, number, zero_, &mesh_};
    if (spec_.grad_clip > 0 && grad_norm > spec_.grad_clip) update.gradient_scale = spec_.grad_clip / grad_norm;
    mesh_.stream = stream_;
    adamw_.update(update);
    for (size_t i = 0; i < slots_.size(); i++)
        if (slots_[i].tensor->trained() && kind_of(*slots_[i].tensor, spec_) == OptimizerKind::muon)
            muon_.update(i, slots_[i], update);
}

// ---------------------------------------------------------------- masters
template <class B>
void Optimizer<B>::initialise(int64_t seed) {
    if (!kMasters) return;
    for (const Slot<B>& slot : slots_) {
        if (!slot.tensor->trained()) continue;
        TensorInfo held = *slot.tensor;  // what this rank holds of the master
        if (zero_) {
            held.box = box_of_rows(held, slot.shard->rows);
            held.count = slot.shard->count;
        }
        std::vector<A> values(size_t(held.count));
        initial_values(values.data(), held, seed);
        memory_of<B>().to_device(stream_, slot.master, values.data(), values.size() * sizeof(A));
    }
}

template <class B>
void Optimizer<B>::round_weights() {
    if (!kMasters) return;
    mesh_.stream = stream_;
    mesh_.data->together([&] {
        for (const Slot<B>& slot : slots_) {
            if (!slot.tensor->trained()) continue;
            const OptimizerShard& shard = *slot.shard;
            T* own = slot.weight + (zero_ ? shard.begin : 0);
            sluice::round_weights<B>(stream_, own, slot.master, zero_ ? shard.count : slot.tensor->count);
            if (zero_) shard.group->all_gather(slot.weight, static_cast<const T*>(own), shard.counts.data());
        }
    });
}

#define INSTANTIATE(B) template class Optimizer<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
