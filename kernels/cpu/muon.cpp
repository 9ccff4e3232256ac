// Muon: momentum, orthogonalization by Newton-Schulz steps (GEMMs of the library), and the update of weights. Here rows
// and columns are of one weight matrix.
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/muon_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

// y = scale x.
template <class T>
void scaled(T* y, const T* x, int64_t count, T scale) {
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++) y[i] = scale * x[i];
    });
}

// next = a x + (b A + c A A) x with A = x x^T; if rows > columns, next = a x + x (b A + c A A) with A = x^T x: the
// smaller of the two squares. next, x (rows, columns). Scratch: gram (n, n) for A, polynomial (n, n) for b A + c A A, n
// = min(rows, columns). The ops of linear maps multiply: linear_forward(y, x, w) is y = x w^T, linear_backward_input(y,
// x, w) is y = x w, linear_backward_weight(y, x, w) is y += x^T w.
template <class B, class T = typename B::T>
void newton_schulz_step(Stream stream, T* next, const T* x, T* gram, T* polynomial, int64_t rows, int64_t columns) {
    const bool wide = rows <= columns;
    const int64_t n = std::min(rows, columns);
    if (wide) {
        linear_forward<B>(stream, gram, x, x, n, columns, n);  // x x^T
    } else {
        std::fill_n(gram, n * n, T(0));
        linear_backward_weight<B>(stream, gram, x, x, rows, n, n);  // x^T x
    }
    linear_forward<B>(stream, polynomial, gram, gram, n, n, n);  // A is symmetric: A A^T = A A
    parallel_chunks(n * n, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++)
            polynomial[i] = T(NewtonSchulz::b) * gram[i] + T(NewtonSchulz::c) * polynomial[i];
    });
    scaled(next, x, rows * columns, T(NewtonSchulz::a));
    if (wide)
        linear_backward_input<B>(stream, next, polynomial, x, n, columns, n, Into::add);
    else
        linear_backward_input<B>(stream, next, x, polynomial, rows, n, n, Into::add);
}

}  // namespace

template <class B>
void muon_momentum(Stream, typename B::T* u, typename B::A* b, const typename B::G* g, int64_t count, double momentum,
                   double gradient_scale) {
    const Timed timed(__func__, moved<B>(1, count, 4));
    using A = typename B::A;
    const A keep = A(momentum), clip = A(gradient_scale);
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++) {
            const MuonMomentum<A> next = muon_momentum_of(A(b[i]), A(g[i]), keep, clip);
            b[i] = next.b;
            u[i] = next.u;
        }
    });
}

template <class B>
void orthogonalize(Stream stream, typename B::T* x, int64_t rows, int64_t columns, typename B::T* scratch) {
    using T = typename B::T;
    const int64_t count = rows * columns, n = std::min(rows, columns);
    if (count == 0) return;
    T* other = scratch;            // (rows, columns)
    T* gram = other + count;       // (n, n)
    T* polynomial = gram + n * n;  // (n, n)
    double squares = 0;
    const Span all{0, count};
    sum_of_squares<B>(stream, &squares, x, &all, 1);
    scaled(other, x, count, T(1 / (std::sqrt(squares) + NewtonSchulz::epsilon)));
    // Steps go to and fro between `other` and x; the last one writes to x.
    for (int step = 0; step < NewtonSchulz::steps; step++)
        newton_schulz_step<B>(stream, step % 2 ? other : x, step % 2 ? x : other, gram, polynomial, rows, columns);
}

template <class B>
void muon_update(Stream, typename B::T* w, typename B::A*, Rows<const typename B::T> x, int64_t rows, int64_t width,
                 double lr, double scale, double weight_decay) {
    const Timed timed(__func__, moved<B>(rows, width, 3));
    using A = typename B::A;
    const A decay = A(1 - lr * weight_decay), rate = A(lr * scale);
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* row = x.row(r);
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                w[r * width + i] = muon_updated(A(w[r * width + i]), A(row[i]), decay, rate);
        }
    });
}

template <class B>
void copy_rows(Stream, Rows<typename B::T> y, Rows<const typename B::T> x, int64_t rows, int64_t width, Into into) {
    const Timed timed(__func__, moved<B>(rows, width, into == Into::add ? 3 : 2));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* from = x.row(r);
            auto* to = y.row(r);
            if (into == Into::overwrite) {
                std::copy_n(from, width, to);
                continue;
            }
#pragma omp simd
            for (int64_t i = 0; i < width; i++) to[i] += from[i];
        }
    });
}

#define INSTANTIATE(B)                                                                                              \
    template void muon_momentum<B>(Stream, B::T*, B::A*, const B::G*, int64_t, double, double);                     \
    template void orthogonalize<B>(Stream, B::T*, int64_t, int64_t, B::T*);                                         \
    template void muon_update<B>(Stream, B::T*, B::A*, Rows<const B::T>, int64_t, int64_t, double, double, double); \
    template void copy_rows<B>(Stream, Rows<B::T>, Rows<const B::T>, int64_t, int64_t, Into);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
