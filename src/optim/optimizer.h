// The optimizer of a model on a rank: the memory of its state, in one allocation, and the update of every weight.
#pragma once
#include "optim/muon.h"
#include "optim/slot.h"
#include "optim/state.h"
#include "tensor/arena.h"

namespace sluice {

template <class B>
class Optimizer {
 public:
    using T = typename B::T;

    // gradient_shards: with zero, complete gradients of this rank's shards, laid out as `shards` says; else null, and
    // they are the model's. What it is given lives longer than it does.
    Optimizer(const OptimizerSpec& spec, Model<B>& model, Mesh& mesh, const OptimizerShards& shards,
              T* gradient_shards);

    // Collective. grad_norm: of the whole gradient, which the clip goes by; number: of the update, from 1.
    void update(double lr, double grad_norm, int64_t number);

    // v(prefix, tensor's number in the model, data): every tensor of the state; data covers this rank's shard with
    // zero, else its whole slice.
    template <class V>
    void state(V&& v) const {
        for (const auto& [word, kind] : Words<OptimizerKind>::all)
            for (size_t k = 0; k < state_of(kind).prefixes.size(); k++)
                for (size_t i = 0; i < slots_.size(); i++)
                    if (slots_[i].tensor->trained() && kind_of(*slots_[i].tensor, spec_) == kind)
                        v(state_of(kind).prefixes[k], i, slots_[i].state[k]);
    }
    size_t bytes() const { return state_.bytes() + muon_.bytes(); }

 private:
    OptimizerSpec spec_;
    bool zero_;
    Arena state_;
    Muon<B> muon_;
    std::vector<Slot<T>> slots_;  // of the model's tensors
};

// What the update of one tensor takes on a rank. item, gradient_item: bytes of a weight, of a gradient.
UpdateCost update_cost(const TensorInfo& tensor, const OptimizerShard& shard, const MeshCoord& coord,
                       const OptimizerSpec& spec, int64_t item, int64_t gradient_item);

// Planned bytes on a rank: the state, a shard of every tensor (with zero: of gradients), and scratch memory.
// item: bytes of a number.
struct OptimizerBytes {
    size_t state, shards, scratch;
};
OptimizerBytes plan_optimizer(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                              bool zero, size_t item);

}  // namespace sluice
