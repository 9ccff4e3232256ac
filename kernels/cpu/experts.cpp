// Mixture of experts: the router, permuting tokens to their experts and back, and the activation between an expert's
// two maps. The grouped maps themselves are in linear.cpp. Rows are tokens, e counts experts, j a token's top_k.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/attention_math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/router_math.h"
#include "kernels/swiglu_math.h"

namespace sluice {
namespace {

// p (experts) = softmax(z (experts)) of one token; returns the log-sum-exp.
template <class T, class A>
A softmax_row(A* p, const T* z, int64_t experts) {
    A largest = z[0], sum = 0;
    for (int64_t e = 1; e < experts; e++) largest = std::max(largest, A(z[e]));
    for (int64_t e = 0; e < experts; e++) sum += p[e] = std::exp(A(z[e]) - largest);
    for (int64_t e = 0; e < experts; e++) p[e] /= sum;
    return largest + std::log(sum);
}

// The expert with the largest p + bias that is not in ids (taken); of equal ones the lower index wins.
template <class A>
int32_t best_expert(const A* p, const A* bias, int64_t experts, const int32_t* ids, int64_t taken) {
    int32_t best = -1;
    A best_score = 0;
    for (int32_t e = 0; e < experts; e++) {
        const A score = p[e] + (bias ? bias[e] : A(0));
        if (best >= 0 && !(score > best_score)) continue;
        if (std::find(ids, ids + taken, e) != ids + taken) continue;
        best = e;
        best_score = score;
    }
    return best;
}

}  // namespace

template <class B>
void router_forward(Stream, typename B::A* probs, typename B::A* lse, int32_t* topk_ids, typename B::A* weights,
                    int64_t* tokens_per_expert, const typename B::A* logits, const typename B::A* bias,
                    const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    using A = typename B::A;
    parallel_chunks(n.rows, n.experts * (n.top_k + 2), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            A *p = probs + r * n.experts, *weight = weights + r * n.top_k;
            int32_t* ids = topk_ids + r * n.top_k;
            lse[r] = softmax_row(p, logits + r * n.experts, n.experts);
            A sum = 0;
            for (int64_t j = 0; j < n.top_k; j++) {
                ids[j] = best_expert(p, bias, n.experts, ids, j);
                sum += weight[j] = p[ids[j]];
            }
            for (int64_t j = 0; j < n.top_k && n.normalise; j++) weight[j] /= sum;
        }
    });
    std::fill(tokens_per_expert, tokens_per_expert + n.experts, 0);
    for (int64_t i = 0; i < n.rows * n.top_k; i++) tokens_per_expert[topk_ids[i]]++;
}

// With dp (experts) the gradient of one token's p = probs: dlogits = p (dp - sum of dp p) + 2 z lse p. dp is the sum of
//
//     balance load[e], of the balance loss
//     dweight[j] for e = topk_ids[j], of its weight p; if weights are normalised, p / sum over j of p, it is
//         (dweight[j] - sum over j of dweight weight) / sum over j of p
template <class B>
void router_backward(Stream, typename B::T* dlogits, const typename B::A* dweights, const typename B::A* probs,
                     const typename B::A* lse, const int32_t* topk_ids, const typename B::A* weights,
                     const typename B::A* load, double balance, double z, const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    using A = typename B::A;
    thread_local std::vector<A> storage;  // (experts) balance load
    storage.resize(size_t(n.experts));
    A* slope = storage.data();
    for (int64_t e = 0; e < n.experts; e++) slope[e] = load[e] * A(balance);
    parallel_chunks(n.rows, 3 * n.experts, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const A *p = probs + r * n.experts, *weight = weights + r * n.top_k, *dweight = dweights + r * n.top_k;
            const int32_t* ids = topk_ids + r * n.top_k;
            auto* d = dlogits + r * n.experts;
            A sum = 1, shared = 0;  // the sum of the top_k p; the sum of dweight weight
            if (n.normalise) {
                sum = 0;
                for (int64_t j = 0; j < n.top_k; j++) {
                    sum += p[ids[j]];
                    shared += dweight[j] * weight[j];
                }
            }
            A mean = 0;  // the sum of dp p
            for (int64_t e = 0; e < n.experts; e++) mean += slope[e] * p[e];
            for (int64_t j = 0; j < n.top_k; j++) mean += chosen_slope(A(1), dweight[j], shared, sum) * p[ids[j]];
            const A z_slope = router_z_slope(A(z), lse[r]);
            for (int64_t e = 0; e < n.experts; e++) d[e] = router_slope(p[e], slope[e], mean, z_slope);
            for (int64_t j = 0; j < n.top_k; j++) d[ids[j]] += chosen_slope(p[ids[j]], dweight[j], shared, sum);
        }
    });
}

template <class B>
void router_sums(Stream, RouterSums* sums, const typename B::A* logits, const typename B::A* probs,
                 const typename B::A* lse, const typename B::A* load, double scale, const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    double total[3] = {0, 0, 0};  // balance, z, entropy
    sum_rows<double, double>(total, n.rows, 3, [&](int64_t r, double* partial) {
        double balance = 0, mean_logit = 0;
        for (int64_t e = 0; e < n.experts; e++) {
            const double p = double(probs[r * n.experts + e]);
            balance += double(load[e]) * p;
            mean_logit += p * double(logits[r * n.experts + e]);
        }
        partial[0] += balance;
        partial[1] += double(lse[r]) * double(lse[r]);
        partial[2] += softmax_entropy(double(lse[r]), mean_logit);
    });
    sums->balance += scale * total[0];
    sums->z += scale * total[1];
    sums->entropy += scale * total[2];
}

template <class B>
void add_counts(Stream, int64_t* total, const int64_t* counts, int64_t experts) {
    const Timed timed(__func__, moved<int64_t>(1, experts, 2));
    for (int64_t e = 0; e < experts; e++) total[e] += counts[e];
}

template <class B>
void expert_load(Stream, typename B::A* load, const int64_t* counts, int64_t experts) {
    const Timed timed(__func__, moved<int64_t>(1, experts, 2));
    const int64_t all = std::accumulate(counts, counts + experts, int64_t{0});
    for (int64_t e = 0; e < experts; e++) load[e] = typename B::A(load_of_expert(counts[e], all, experts));
}

template <class B>
void move_router_bias(Stream, typename B::A* bias, const int64_t* counts, int64_t experts, double rate) {
    const Timed timed(__func__, moved<int64_t>(1, experts, 2));
    using A = typename B::A;
    const int64_t all = std::accumulate(counts, counts + experts, int64_t{0});
    for (int64_t e = 0; e < experts; e++) bias[e] += bias_move(counts[e], all, experts, A(rate));
}

// A counting sort: each expert's rows begin where those of the experts before it end.
template <class B>
void sort_by_expert(Stream, int32_t* permutation, const int32_t* topk_ids, const int64_t* tokens_per_expert,
                    int64_t count, int64_t experts) {
    const Timed timed(__func__, moved<int32_t>(1, count, 2));
    thread_local std::vector<int64_t> next;  // (experts) the sorted position of the expert's next assignment
    next.assign(size_t(experts), 0);
    for (int64_t e = 1; e < experts; e++) next[size_t(e)] = next[size_t(e - 1)] + tokens_per_expert[e - 1];
    for (int64_t i = 0; i < count; i++) permutation[i] = int32_t(next[size_t(topk_ids[i])]++);
}

template <class B>
void expert_offsets(Stream, int64_t* offsets, const int64_t* counts, int64_t ranks, int64_t experts) {
    const Timed timed(__func__, moved<int64_t>(ranks, experts, 1));
    offsets[0] = 0;
    for (int64_t e = 0; e < experts; e++) {
        offsets[e + 1] = offsets[e];
        for (int64_t p = 0; p < ranks; p++) offsets[e + 1] += counts[p * experts + e];
    }
}

template <class B>
void expert_arrivals(Stream, int32_t* index, const int64_t* counts, int64_t ranks, int64_t experts) {
    const Timed timed(__func__, moved<int64_t>(ranks, experts, 1));
    int64_t row = 0;
    for (int64_t e = 0; e < experts; e++)
        for (int64_t p = 0; p < ranks; p++) {
            // What came before: all of the ranks before p, and of rank p what was for the experts before e.
            const int64_t from = std::accumulate(counts, counts + p * experts + e, int64_t{0});
            for (int64_t i = 0; i < counts[p * experts + e]; i++) index[row++] = int32_t(from + i);
        }
}

template <class B, class X>
void gather_rows(Stream, X* out, const X* x, const int32_t* index, int64_t count, int64_t width) {
    const Timed timed(__func__, ragged(moved<X>(count, width, 2)));
    parallel_chunks(count, width, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) std::copy_n(x + int64_t(index[i]) * width, width, out + i * width);
    });
}

template <class B, class X>
void scatter_rows(Stream, X* out, const X* x, const int32_t* index, int64_t rows, int64_t per, int64_t width) {
    const Timed timed(__func__, ragged(moved<X>(rows, width, per + 1)));
    parallel_chunks(rows, width * per, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            for (int64_t j = i * per; j < (i + 1) * per; j++)
                std::copy_n(x + i * width, width, out + int64_t(index[j]) * width);
    });
}

template <class B>
void sum_rows_at(Stream, typename B::T* out, const typename B::T* x, const int32_t* index, int64_t rows, int64_t per,
                 int64_t width, Into into) {
    const Timed timed(__func__, moved<B>(rows, width, per + (into == Into::add ? 2 : 1)));
    using T = typename B::T;
    parallel_chunks(rows, width * per, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            T* sum = out + r * width;
            if (into == Into::overwrite) std::fill_n(sum, width, T(0));
            for (int64_t j = 0; j < per; j++) {
                const T* row = x + int64_t(index[r * per + j]) * width;
#pragma omp simd
                for (int64_t i = 0; i < width; i++) sum[i] += row[i];
            }
        }
    });
}

template <class B>
void weighted_swiglu_forward(Stream, typename B::T* h, const typename B::T* gate, const typename B::T* up,
                             const typename B::A* weight, int64_t rows, int64_t width) {
    const Timed timed(__func__, ragged(moved<B>(rows, width, 3)));
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto *s = gate + r * width, *u = up + r * width;
            auto* row = h + r * width;
            const A w = weight[r];
#pragma omp simd
            for (int64_t i = 0; i < width; i++) row[i] = swiglu_value(A(s[i]), A(u[i]), logistic(A(s[i])), w);
        }
    });
}

template <class B>
void weighted_swiglu_backward(Stream, typename B::T* dgate, typename B::T* dup, typename B::A* dweight,
                              const typename B::T* dh, const typename B::T* gate, const typename B::T* up,
                              const typename B::A* weight, int64_t rows, int64_t width) {
    const Timed timed(__func__, ragged(moved<B>(rows, width, 5)));
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto *d_row = dh + r * width, *s_row = gate + r * width, *u_row = up + r * width;
            auto *ds_row = dgate + r * width, *du_row = dup + r * width;
            const A w = weight[r];
            A sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < width; i++) {
                const A d = d_row[i], s = s_row[i], u = u_row[i], g = logistic(s);
                sum += swiglu_value(s, u, g, d);
                const SwigluGradient<A> gradient = swiglu_gradient(w * d, s, u, g);
                ds_row[i] = gradient.gate;
                du_row[i] = gradient.up;
            }
            dweight[r] = sum;
        }
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void router_forward<B>(Stream, B::A*, B::A*, int32_t*, B::A*, int64_t*, const B::A*, const B::A*,        \
                                    const RouterShape&);                                                              \
    template void router_backward<B>(Stream, B::T*, const B::A*, const B::A*, const B::A*, const int32_t*,            \
                                     const B::A*, const B::A*, double, double, const RouterShape&);                   \
    template void add_counts<B>(Stream, int64_t*, const int64_t*, int64_t);                                           \
    template void expert_load<B>(Stream, B::A*, const int64_t*, int64_t);                                             \
    template void move_router_bias<B>(Stream, B::A*, const int64_t*, int64_t, double);                                \
    template void sort_by_expert<B>(Stream, int32_t*, const int32_t*, const int64_t*, int64_t, int64_t);              \
    template void expert_offsets<B>(Stream, int64_t*, const int64_t*, int64_t, int64_t);                              \
    template void expert_arrivals<B>(Stream, int32_t*, const int64_t*, int64_t, int64_t);                             \
    template void gather_rows<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t);                       \
    template void scatter_rows<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t);             \
    template void router_sums<B>(Stream, RouterSums*, const B::A*, const B::A*, const B::A*, const B::A*, double,     \
                                 const RouterShape&);                                                                 \
    template void sum_rows_at<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t, Into);        \
    template void weighted_swiglu_forward<B>(Stream, B::T*, const B::T*, const B::T*, const B::A*, int64_t, int64_t); \
    template void weighted_swiglu_backward<B>(Stream, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::T*,     \
                                              const B::A*, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
