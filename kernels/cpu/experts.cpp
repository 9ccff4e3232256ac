// Mixture of experts: routing, sorting tokens by expert, and the activation between an expert's two maps. The grouped
// maps themselves are in linear.cpp.
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

template <class B>
void router_forward(Stream, typename B::A* probs, typename B::A* lse, int32_t* picks, typename B::A* weights,
                    int64_t* counts, const typename B::T* logits, const typename B::T* bias, const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    using A = typename B::A;
    parallel_chunks(n.rows, n.experts * (n.top_k + 2), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* z = logits + r * n.experts;
            A *p = probs + r * n.experts, *weight = weights + r * n.top_k;
            int32_t* pick = picks + r * n.top_k;
            A largest = z[0], sum = 0, picked = 0;
            for (int64_t e = 1; e < n.experts; e++) largest = std::max(largest, A(z[e]));
            for (int64_t e = 0; e < n.experts; e++) sum += p[e] = std::exp(A(z[e]) - largest);
            for (int64_t e = 0; e < n.experts; e++) p[e] /= sum;
            lse[r] = largest + std::log(sum);
            for (int64_t j = 0; j < n.top_k; j++) {
                // The largest of those that come after the last pick in order of (score, lower index).
                const auto score = [&](int64_t e) { return p[e] + (bias ? A(bias[e]) : A(0)); };
                int64_t best = -1;
                for (int64_t e = 0; e < n.experts; e++) {
                    bool free = true;
                    for (int64_t i = 0; i < j; i++) free &= pick[i] != e;
                    if (free && (best < 0 || score(e) > score(best))) best = e;
                }
                pick[j] = int32_t(best);
                picked += weight[j] = p[best];
            }
            for (int64_t j = 0; j < n.top_k && n.normalise; j++) weight[j] /= picked;
        }
    });
    std::fill(counts, counts + n.experts, 0);
    for (int64_t i = 0; i < n.rows * n.top_k; i++) counts[picks[i]]++;
}

template <class B>
void router_backward(Stream, typename B::T* dlogits, const typename B::A* dweights, const typename B::A* probs,
                     const typename B::A* lse, const int32_t* picks, const typename B::A* weights,
                     const typename B::A* balance, double z, const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    using A = typename B::A;
    parallel_chunks(n.rows, 3 * n.experts, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const A *p = probs + r * n.experts, *weight = weights + r * n.top_k, *dweight = dweights + r * n.top_k;
            const int32_t* pick = picks + r * n.top_k;
            auto* d = dlogits + r * n.experts;
            // Through weight = p / sum of the picked p's, then through the softmax.
            A picked = 1, shared = 0;
            if (n.normalise) {
                picked = 0;
                for (int64_t j = 0; j < n.top_k; j++) {
                    picked += p[pick[j]];
                    shared += dweight[j] * weight[j];
                }
            }
            A mean = 0;
            for (int64_t e = 0; e < n.experts; e++) mean += balance[e] * p[e];
            for (int64_t j = 0; j < n.top_k; j++) mean += (dweight[j] - shared) / picked * p[pick[j]];
            const A pull = A(2 * z) * lse[r];
            for (int64_t e = 0; e < n.experts; e++) d[e] = p[e] * (balance[e] - mean + pull);
            for (int64_t j = 0; j < n.top_k; j++) d[pick[j]] += p[pick[j]] * (dweight[j] - shared) / picked;
        }
    });
}

template <class B>
void router_sums(Stream, RouterSums* sums, const typename B::T* logits, const typename B::A* probs,
                 const typename B::A* lse, const typename B::A* share, double scale, const RouterShape& n) {
    const Timed timed(__func__, moved<B>(n.rows, n.experts, 2));
    double total[3] = {0, 0, 0};
    sum_rows<double, double>(total, n.rows, 3, [&](int64_t r, double* partial) {
        double weighted = 0, expected = 0;
        for (int64_t e = 0; e < n.experts; e++) {
            const double p = double(probs[r * n.experts + e]);
            weighted += double(share[e]) * p;
            expected += p * double(logits[r * n.experts + e]);
        }
        partial[0] += weighted;
        partial[1] += double(lse[r]) * double(lse[r]);
        partial[2] += double(lse[r]) - expected;
    });
    sums->balance += scale * total[0];
    sums->z += scale * total[1];
    sums->entropy += scale * total[2];
}

void sort_by_expert(Stream, int32_t* slots, int32_t* origins, const int32_t* picks, const int64_t* counts,
                    int64_t count, int64_t experts) {
    const Timed timed(__func__, moved<int32_t>(1, count, 3));
    thread_local std::vector<int64_t> next;
    next.assign(size_t(experts), 0);
    for (int64_t e = 1; e < experts; e++) next[size_t(e)] = next[size_t(e - 1)] + counts[e - 1];
    for (int64_t i = 0; i < count; i++) {
        slots[i] = int32_t(next[size_t(picks[i])]++);
        origins[slots[i]] = int32_t(i);
    }
}

template <class T>
void gather_rows(Stream, T* out, const T* x, const int32_t* index, int64_t count, int64_t width, int64_t per) {
    const Timed timed(__func__, ragged(moved<T>(count, width, 2)));
    parallel_chunks(count, width, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) std::copy_n(x + index[i] / per * width, width, out + i * width);
    });
}

template <class T>
void scatter_rows(Stream, T* out, const T* x, const int32_t* index, int64_t count, int64_t width) {
    const Timed timed(__func__, ragged(moved<T>(count, width, 2)));
    parallel_chunks(count, width, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) std::copy_n(x + i * width, width, out + int64_t(index[i]) * width);
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
            for (int64_t i = 0; i < width; i++) row[i] = w * A(s[i]) * fast_logistic(A(s[i])) * A(u[i]);
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
                const A d = d_row[i], s = s_row[i], u = u_row[i], g = fast_logistic(s);
                sum += d * s * g * u;
                ds_row[i] = w * d * u * g * (A(1) + s * (A(1) - g));
                du_row[i] = w * d * s * g;
            }
            dweight[r] = sum;
        }
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void router_forward<B>(Stream, B::A*, B::A*, int32_t*, B::A*, int64_t*, const B::T*, const B::T*,        \
                                    const RouterShape&);                                                              \
    template void router_backward<B>(Stream, B::T*, const B::A*, const B::A*, const B::A*, const int32_t*,            \
                                     const B::A*, const B::A*, double, const RouterShape&);                           \
    template void router_sums<B>(Stream, RouterSums*, const B::T*, const B::A*, const B::A*, const B::A*, double,     \
                                 const RouterShape&);                                                                 \
    template void sum_rows_at<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t, Into);        \
    template void weighted_swiglu_forward<B>(Stream, B::T*, const B::T*, const B::T*, const B::A*, int64_t, int64_t); \
    template void weighted_swiglu_backward<B>(Stream, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::T*,     \
                                              const B::A*, int64_t, int64_t);
SLUICE_BACKENDS(INSTANTIATE)
template void gather_rows(Stream, float*, const float*, const int32_t*, int64_t, int64_t, int64_t);
template void gather_rows(Stream, double*, const double*, const int32_t*, int64_t, int64_t, int64_t);
template void scatter_rows(Stream, float*, const float*, const int32_t*, int64_t, int64_t);
template void scatter_rows(Stream, double*, const double*, const int32_t*, int64_t, int64_t);

}  // namespace sluice
