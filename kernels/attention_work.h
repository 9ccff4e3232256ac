// The work of attention, for every backend.
#pragma once
#include <algorithm>

#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

// Of `products` products of queries and keys, over half the square of length, or a window's part of it.
inline Work attention_work(const AttentionShape& n, int products) {
    const double T = double(n.length), w = n.window > 0 ? std::min(double(n.window), T) : T;
    return {{n.sequences * n.length, n.heads * n.dim, 0},
            2.0 * products * double(n.sequences * n.heads * n.dim) * (w * T - w * w / 2),
            0};
}

}  // namespace sluice
