// What attention does to one score and its weight, for every backend: weights are exp(score - lse), or relu(score).
#pragma once
#include "base/host_device.h"

namespace sluice {

// The gradient of a score of a softmax, from p, its weight, and dp, the gradient of that; mean = the sum of p dp over
// the softmax.
template <class A>
SLUICE_HD A softmax_slope(A p, A dp, A mean) {
    return p * (dp - mean);
}

// The entropy of a softmax, -sum of p log p, as log p = score - lse; mean_score = the sum of p score.
template <class A>
SLUICE_HD A softmax_entropy(A lse, A mean_score) {
    return lse - mean_score;
}

// Comparisons are such that a score of NaN shows: only one that is not above 0 gets weight 0.
template <class A>
SLUICE_HD A relu_weight(A score) {
    return score <= 0 ? A(0) : score;
}
// The gradient of the score from dp, that of its weight: at 0 it is 0 too.
template <class A>
SLUICE_HD A relu_slope(A score, A dp) {
    return score <= 0 ? A(0) : dp;
}

}  // namespace sluice
