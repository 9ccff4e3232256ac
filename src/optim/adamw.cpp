#include "optim/adamw.h"

#include <cmath>

namespace sluice {

template <class B>
AdamWTensors<B>::AdamWTensors(const OptimizerSpec& spec, std::vector<Slot<B>> slots, bool zero, Stream stream)
    : spec_(spec), slots_(std::move(slots)) {
    std::vector<AdamWSpan> spans;
    for (const Slot<B>& slot : slots_) {
        const Slot<B>& first = slots_[0];
        const OptimizerShard& shard = *slot.shard;
        spans.push_back({.weights = slot.weight - first.weight + (zero ? shard.begin : 0),
                         .gradients = slot.gradient - first.gradient,
                         .state = slot.states - first.states,
                         .count = zero ? shard.count : slot.tensor->count,
                         .decays = decays(slot.tensor->role)});
    }
    spans_ = SpanList<B, AdamWSpan>(spans, stream);
}

template <class B>
void AdamWTensors<B>::update(const Update& n) {
    if (slots_.empty()) return;
    const Slot<B>& first = slots_[0];
    adamw<B>(n.stream, first.weight, first.master, first.state(0), first.state(1), first.gradient, spans_.data(),
             spans_.count(),
             {.lr = n.lr,
              .beta1 = spec_.beta1,
              .beta2 = spec_.beta2,
              .eps = spec_.eps,
              .weight_decay = spec_.weight_decay,
              .gradient_scale = n.gradient_scale,
              .correction1 = 1 - std::pow(spec_.beta1, double(n.number)),
              .correction2 = 1 - std::pow(spec_.beta2, double(n.number))});
    if (!n.zero) return;
    n.mesh->data->together([&] {
        for (const Slot<B>& slot : slots_)
            slot.shard->group->all_gather(slot.weight,
                                          static_cast<const typename B::T*>(slot.weight) + slot.shard->begin,
                                          slot.shard->counts.data());
    });
}

#define INSTANTIATE(B) template class AdamWTensors<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
