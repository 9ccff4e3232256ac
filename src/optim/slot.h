// A tensor as its optimizer sees it, and the numbers that all tensors share in one update.
#pragma once
#include "optim/shards.h"

namespace sluice {

template <class T>
struct Slot {
    const TensorInfo* tensor;
    const OptimizerShard* shard;
    T* weight;          // (tensor->count): this rank's whole slice
    const T* gradient;  // summed over ranks: (shard->count) with zero, else (tensor->count)
    T* states;          // the optimizer's state tensors, shard->capacity elements apart

    // State tensor k, by OptimizerState::prefixes, with as many elements as `gradient`.
    T* state(size_t k) const { return states + int64_t(k) * shard->capacity; }
};

struct Update {
    Stream stream;
    double lr;
    double gradient_scale;  // factor of the clip, at most 1
    int64_t number;         // from 1; skipped steps do not count
    bool zero;
};

}  // namespace sluice
