// A tensor as its optimizer sees it, and what holds for all tensors of an update.
#pragma once
#include <array>

#include "optim/shares.h"

namespace sluice {

template <class T>
struct Slot {
    const TensorInfo* tensor;
    const Share* share;
    T* weight;                // all that this rank holds
    const T* gradient;        // complete; with zero of this rank's share alone
    std::array<T*, 2> state;  // in order of OptimizerState::prefixes, of the elements that `gradient` has
};

struct Update {
    double lr;
    double gradient_scale;  // the clip's factor
    int64_t number;         // from 1; skipped steps do not count
    bool zero;
};

}  // namespace sluice
