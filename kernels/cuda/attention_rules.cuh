// What turns scores of attention into weights, and gradients of weights into those of scores: the rules of softmax and
// of ReLU, for the walks of attention.cu.
#pragma once
#include <cmath>

#include "kernels/attention_math.h"
#include "kernels/cuda/prim/device.cuh"

namespace sluice {

// ---------------------------------------------------------------- forward
// A thread keeps a `Row` of a query, and turns the query's scores of one key tile after another into weights.
// add(row, w, from, end): w[from .. end - 1], scores -> weights; returns what the sum over earlier tiles is multiplied
// by, to have the same scale. finish(row, query): the last factor of the sum; query = index into (sequences, heads,
// length).
//
// Each query's weights are exp(score - peak), with the largest score so far.
struct SoftmaxRule {
    Global<float> lse;

    struct Row {
        float peak = -INFINITY, sum = 0;
    };
    DEVICE float add(Row& row, Shared<float> w, int from, int end) const {
        if (from >= end) return 1;
        float peak = row.peak;
        for (int j = from; j < end; j++) {
            const float score = w[j];
            peak = score > peak ? score : peak;
        }
        const float base = peak == -INFINITY ? 0 : peak, rescale = exponential(row.peak - base);
        float sum = row.sum * rescale;
        for (int j = from; j < end; j++) {
            const float weight = exponential(w[j] - base);
            w[j] = weight;
            sum += weight;
        }
        row = {peak, sum};
        return rescale;
    }
    DEVICE float finish(const Row& row, int64_t query) const {
        lse[query] = row.peak + logarithm(row.sum);
        return 1 / row.sum;
    }
};

// The same, which leaves each query's largest score.
struct PeakRule : SoftmaxRule {
    DEVICE float finish(const Row& row, int64_t query) const {
        lse[query] = row.peak;
        return 1 / row.sum;
    }
};

// Weights are relu(score).
struct ReluRule {
    struct Row {};
    DEVICE float add(Row&, Shared<float> w, int from, int end) const {
        for (int j = from; j < end; j++) w[j] = relu_weight(float(w[j]));
        return 1;
    }
    DEVICE float finish(const Row&, int64_t) const { return 1; }
};

// ---------------------------------------------------------------- backward
// Element by element. keep(kept, query) puts kKept numbers of a query where all threads find them.
// weight(kept, score), and slope(kept, score, weight, dweight): the gradient of the score from that of its weight.
//
// Weights are p = exp(score - lse), and the slope is p (dp - delta), with delta = the sum over keys of p dp, which is
// the dot product of dout and out.
struct SoftmaxGradient {
    static constexpr int kKept = 2;
    Global<const float> lse, delta;  // (sequences, heads, length)

    DEVICE void keep(Shared<float> kept, int64_t query) const {
        kept[0] = float(lse[query]);
        kept[1] = float(delta[query]);
    }
    DEVICE float weight(Shared<float> kept, float score) const { return exponential(score - kept[0]); }
    DEVICE float slope(Shared<float> kept, float, float weight, float dweight) const {
        return softmax_slope(weight, dweight, float(kept[1]));
    }
};

struct ReluGradient {
    static constexpr int kKept = 0;
    DEVICE void keep(Shared<float>, int64_t) const {}
    DEVICE float weight(Shared<float>, float score) const { return relu_weight(score); }
    DEVICE float slope(Shared<float>, float score, float, float dweight) const { return relu_slope(score, dweight); }
};

}  // namespace sluice
