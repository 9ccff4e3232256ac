// Switch Heads: out = for each row and head, the sum over its top_k experts e of sigmoid(s_e) y_e. Here r counts
// (row, head), and out is (r, dim).
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/top_k_math.h"

namespace sluice {
namespace {

template <class A>
A logistic(A x) {
    return A(1) / (A(1) + std::exp(-x));
}

}  // namespace

template <class B>
void switch_forward(Stream, typename B::T* out, Rows<const typename B::T> y, Rows<const typename B::T> s, int64_t rows,
                    int64_t heads, int64_t experts, int64_t dim, int64_t top_k) {
    const Timed timed(__func__, moved<B>(rows * heads, experts * dim, 1, rows * heads * dim));
    using A = typename B::A;
    parallel_chunks(rows * heads, experts * dim, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const int64_t row = r / heads, h = r % heads;
            const auto *expert = y.row(row) + h * experts * dim, *score = s.row(row) + h * experts;
            std::fill(out + r * dim, out + (r + 1) * dim, 0);
            for (int64_t e = 0; e < experts; e++, expert += dim) {
                if (!in_top_k([&](int64_t i) { return score[i]; }, experts, top_k, e)) continue;
                const A g = logistic(A(score[e]));
#pragma omp simd
                for (int64_t k = 0; k < dim; k++) out[r * dim + k] += g * A(expert[k]);
            }
        }
    });
}

template <class B>
void switch_backward(Stream, Rows<typename B::T> dy, Rows<typename B::T> ds, const typename B::T* dout,
                     Rows<const typename B::T> y, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                     int64_t experts, int64_t dim, int64_t top_k) {
    const Timed timed(__func__, moved<B>(rows * heads, experts * dim, 2, rows * heads * dim));
    using A = typename B::A;
    parallel_chunks(rows * heads, experts * dim, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const int64_t row = r / heads, h = r % heads;
            const auto *expert = y.row(row) + h * experts * dim, *score = s.row(row) + h * experts;
            auto *dexpert = dy.row(row) + h * experts * dim, *dscore = ds.row(row) + h * experts;
            for (int64_t e = 0; e < experts; e++, expert += dim, dexpert += dim) {
                const bool chosen = in_top_k([&](int64_t i) { return score[i]; }, experts, top_k, e);
                const A g = chosen ? logistic(A(score[e])) : A(0);
                A sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t k = 0; k < dim; k++) {
                    const A d = dout[r * dim + k];
                    sum += d * A(expert[k]);
                    dexpert[k] = g * d;
                }
                dscore[e] = chosen ? sigmoid_slope(g, sum) : A(0);  // sum = dout . y_e
            }
        }
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void switch_forward<B>(Stream, B::T*, Rows<const B::T>, Rows<const B::T>, int64_t, int64_t, int64_t,     \
                                    int64_t, int64_t);                                                                \
    template void switch_backward<B>(Stream, Rows<B::T>, Rows<B::T>, const B::T*, Rows<const B::T>, Rows<const B::T>, \
                                     int64_t, int64_t, int64_t, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
