// A tensor as its optimizer sees it, and the numbers that all tensors of an update share.
#pragma once
#include <array>

#include "optim/shards.h"

namespace sluice {

template <class T>
struct Slot {
    const TensorInfo* tensor;
    const OptimizerShard* shard;
    T* weight;                // this rank's whole slice
    const T* gradient;        // complete; with zero of this rank's shard alone
    std::array<T*, 2> state;  // in order of OptimizerState::prefixes, of the elements that `gradient` has
};

struct Update {
    double lr;
    double gradient_scale;  // the clip's factor
    int64_t number;         // from 1; skipped steps do not count
    bool zero;
};

}  // namespace sluice
