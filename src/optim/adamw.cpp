#include "optim/adamw.h"

#include <cmath>

#include "kernels/backend.h"
#include "kernels/ops.h"

namespace sluice {

template <class B>
void adamw_update(const Slot<typename B::T>& slot, const OptimizerSpec& n, const Update& update) {
    using T = typename B::T;
    const TensorInfo& t = *slot.tensor;
    const OptimizerShard& shard = *slot.shard;
    const AdamW step{.lr = update.lr,
                     .beta1 = n.beta1,
                     .beta2 = n.beta2,
                     .eps = n.eps,
                     .weight_decay = decays(t.role) ? n.weight_decay : 0,
                     .gradient_scale = update.gradient_scale,
                     .correction1 = 1 - std::pow(n.beta1, double(update.number)),
                     .correction2 = 1 - std::pow(n.beta2, double(update.number))};
    T* own = slot.weight + (update.zero ? shard.begin : 0);
    adamw<B>(update.stream, own, slot.state(0), slot.state(1), slot.gradient, update.zero ? shard.count : t.count,
             step);
    if (update.zero)
        shard.group->all_gather(slot.weight, static_cast<const T*>(slot.weight) + shard.begin, shard.counts.data());
}

#define INSTANTIATE(B) template void adamw_update<B>(const Slot<B::T>&, const OptimizerSpec&, const Update&);
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
