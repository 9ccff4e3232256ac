// Switch Heads: out = for each row and head, the sum over its top_k experts e of sigmoid(s_e) y_e. Here r counts (row,
// head), so y is (r, experts, dim), s (r, experts), out (r, dim).
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

template <class A>
A logistic(A x) {
    return A(1) / (A(1) + std::exp(-x));
}

// Whether expert e is among the top_k of s (experts): fewer than top_k others go before it, with a larger score or, of
// equal ones, a lower index.
template <class T>
bool in_top_k(const T* s, int64_t experts, int64_t top_k, int64_t e) {
    int64_t before = 0;
    for (int64_t i = 0; i < experts; i++) before += s[i] > s[e] || (s[i] == s[e] && i < e);
    return before < top_k;
}

}  // namespace

template <class B>
void switch_forward(Stream, typename B::T* out, const typename B::T* y, const typename B::T* s, int64_t rows,
                    int64_t heads, int64_t experts, int64_t dim, int64_t top_k) {
    const Timed timed(__func__, moved<B>(rows * heads, experts * dim, 1, rows * heads * dim));
    using A = typename B::A;
    parallel_chunks(rows * heads, experts * dim, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            std::fill(out + r * dim, out + (r + 1) * dim, 0);
            for (int64_t e = 0; e < experts; e++) {
                if (!in_top_k(s + r * experts, experts, top_k, e)) continue;
                const A g = logistic(A(s[r * experts + e]));
                const auto* expert = y + (r * experts + e) * dim;
#pragma omp simd
                for (int64_t k = 0; k < dim; k++) out[r * dim + k] += g * A(expert[k]);
            }
        }
    });
}

template <class B>
void switch_backward(Stream, typename B::T* dy, typename B::T* ds, const typename B::T* dout, const typename B::T* y,
                     const typename B::T* s, int64_t rows, int64_t heads, int64_t experts, int64_t dim, int64_t top_k) {
    const Timed timed(__func__, moved<B>(rows * heads, experts * dim, 2, rows * heads * dim));
    using A = typename B::A;
    parallel_chunks(rows * heads, experts * dim, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            for (int64_t e = 0; e < experts; e++) {
                const int64_t score = r * experts + e;  // its index in s, and of its row in y
                const bool chosen = in_top_k(s + r * experts, experts, top_k, e);
                const A g = chosen ? logistic(A(s[score])) : A(0);
                A sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t k = 0; k < dim; k++) {
                    const A d = dout[r * dim + k];
                    sum += d * A(y[score * dim + k]);
                    dy[score * dim + k] = g * d;
                }
                ds[score] = chosen ? sum * g * (A(1) - g) : A(0);  // sum = dout . y_e
            }
    });
}

#define INSTANTIATE(B)                                                                                              \
    template void switch_forward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t, int64_t,    \
                                    int64_t);                                                                       \
    template void switch_backward<B>(Stream, B::T*, B::T*, const B::T*, const B::T*, const B::T*, int64_t, int64_t, \
                                     int64_t, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
