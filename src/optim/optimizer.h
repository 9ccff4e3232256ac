// The optimizer of a model on a rank: the memory of its state, in one allocation, and the update of every weight.
#pragma once
#include "optim/adamw.h"
#include "optim/muon.h"
#include "optim/slot.h"
#include "optim/state.h"
#include "tensor/arena.h"

namespace sluice {

template <class B>
class Optimizer {
 public:
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;

    // gradient_shards: with zero the complete gradients of this rank's shards, at the offsets of `shards`; else null:
    // gradients are read from the model. The references must outlive the optimizer.
    Optimizer(const OptimizerSpec& spec, Model<B>& model, Mesh& mesh, const OptimizerShards& shards,
              G* gradient_shards);

    // Collective. grad_norm: norm of the whole gradient, which grad_clip limits. number: of this update, from 1.
    void update(double lr, double grad_norm, int64_t number);

    // Masters from the initial values, where the backend has masters; weights from masters. Collective with zero.
    void initialise(int64_t seed);
    void round_weights();

    // Calls v(prefix, index of the tensor in the model, data) for every tensor of the state; masters, where there are
    // any, come first and without a prefix. data has the elements of this rank's shard with zero, else of its whole
    // slice.
    template <class V>
    void state(V&& v) const {
        if (kMasters)
            for (size_t i = 0; i < slots_.size(); i++)
                if (slots_[i].tensor->trained()) v("", i, slots_[i].master);
        for (const auto& [word, kind] : EnumNames<OptimizerKind>::all)
            for (size_t k = 0; k < state_of(kind).prefixes.size(); k++)
                for (size_t i = 0; i < slots_.size(); i++)
                    if (slots_[i].tensor->trained() && kind_of(*slots_[i].tensor, spec_) == kind)
                        v(state_of(kind).prefixes[k], i, slots_[i].state(k));
    }
    size_t bytes() const { return state_.bytes() + muon_.bytes(); }
    static constexpr bool kMasters = kHasMasters<B>;

 private:
    static std::vector<Slot<B>> make_slots(const OptimizerSpec& spec, Model<B>& model, const OptimizerShards& shards,
                                           const G* gradient_shards, A* state);
    std::vector<Slot<B>> slots_of(OptimizerKind kind) const;

    OptimizerSpec spec_;
    Mesh& mesh_;
    bool zero_;
    Stream stream_;
    Arena state_;                 // by optimizer: its state arrays, then its masters
    std::vector<Slot<B>> slots_;  // one per tensor of the model
    AdamWTensors<B> adamw_;
    Muon<B> muon_;
};

}  // namespace sluice
