// What the router of a mixture of experts does to one number, for every backend. Of a token, p (experts) is the softmax
// of its logits, and lse their log-sum-exp. The top_k chosen experts have weights: their p, or, normalised, p over the
// sum of the chosen p.
#pragma once
#include <cstdint>

#include "base/host_device.h"

namespace sluice {

// x times the gradient of a chosen p from its weight's. Weights that are not normalised have shared 0 and sum 1;
// normalised ones the sums over the chosen of dweight weight, and of p.
template <class A>
SLUICE_HD A chosen_slope(A x, A dweight, A shared, A sum) {
    return x * (dweight - shared) / sum;
}

// The gradient of a logit: p (dp - mean) + 2 z lse p, with mean the sum of dp p over the experts and z the coefficient
// of the mean of lse^2.
template <class A>
SLUICE_HD A router_z_slope(A z, A lse) {
    return A(2) * z * lse;
}
template <class A>
SLUICE_HD A router_slope(A p, A dp, A mean, A z_slope) {
    return p * (dp - mean + z_slope);
}

// An expert's share of all tokens, times the experts: 1 where all have as many.
SLUICE_HD inline double load_of_expert(int64_t tokens, int64_t all, int64_t experts) {
    return double(experts) * double(tokens) / double(all);
}

// What a selection bias moves by: towards more tokens where there are fewer than the mean, all / experts, which is
// compared without dividing.
template <class A>
SLUICE_HD A bias_move(int64_t tokens, int64_t all, int64_t experts, A rate) {
    return tokens * experts < all ? rate : tokens * experts > all ? -rate : A(0);
}

}  // namespace sluice
