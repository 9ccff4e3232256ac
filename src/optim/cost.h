// What optimizers cost: time, traffic and memory of a rank.
#pragma once
#include "optim/shards.h"
#include "optim/state.h"

namespace sluice {

// What the update of one tensor costs on a rank. item, gradient_item: bytes of one element of a weight, of a gradient.
UpdateCost update_cost(const TensorInfo& tensor, const OptimizerShard& shard, const MeshCoord& coord,
                       const OptimizerSpec& spec, int64_t item, int64_t gradient_item);

// Planned bytes on a rank: the optimizer's state, masters, with zero a shard of every gradient, and scratch memory.
struct OptimizerBytes {
    size_t state, masters, gradient_shards, scratch;
};
template <class B>
OptimizerBytes plan_optimizer(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                              bool zero);

}  // namespace sluice
