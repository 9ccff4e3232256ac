// A tensor as its optimizer sees it, and the numbers that all tensors share in one update.
#pragma once
#include "optim/shards.h"

namespace sluice {

template <class B>
struct Slot {
    using A = typename B::A;

    const TensorInfo* tensor;
    const OptimizerShard* shard;
    typename B::T* weight;          // (tensor->count): this rank's whole slice
    const typename B::G* gradient;  // summed over ranks: (shard->count) with zero, else (tensor->count)
    A* states;                      // the optimizer's first state tensor, with as many elements as `gradient`
    int64_t stride;                 // from there to its next state tensor
    A* master;                      // as `states`; null where weights are their own masters

    // State tensor k, by OptimizerState::prefixes.
    A* state(size_t k) const { return states + int64_t(k) * stride; }
};

struct Update {
    Stream stream;
    double lr;
    double gradient_scale;  // factor of the clip, at most 1
    int64_t number;         // from 1; skipped steps do not count
    bool zero;
    Mesh* mesh;
};

}  // namespace sluice
