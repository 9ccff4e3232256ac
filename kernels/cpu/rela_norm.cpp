// ReLA's norm (arXiv 2104.07012): y = w z rstd s, with s = sigmoid(u z), or 1 without a gate. With g = dy w s:
//
//     dz = rstd (g - z rstd^2 mean(g z)) + dy w z rstd s (1 - s) u
//     dw = sum over rows of dy z rstd s,    du = sum over rows of dy w z rstd s (1 - s) z
//
// What is done to a number is in kernels/rela_math.h. The two sums of a row, of z^2 and of g z, are ops of their own: a
// tensor group adds up its parts in between.
#include <cmath>
#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/rela_math.h"

namespace sluice {
namespace {

// f(whether there is a gate, as a constant): loops are compiled for each.
template <class F>
void with_gate(bool gated, F f) {
    if (gated)
        f(std::true_type());
    else
        f(std::false_type());
}

// s of one channel.
template <bool gated, class A, class T>
[[gnu::always_inline]] inline A gate_value(const T* u, A z, int64_t i) {
    if constexpr (gated)
        return fast_logistic(A(u[i]) * z);
    else
        return A(1);
}

// y of one row (width).
template <bool gated, class T, class A>
void forward_row(T* y, const T* z, const T* w, const T* u, A rstd, int64_t width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        const A x = z[i];
        y[i] = rela_value(x, rstd, A(w[i]), gate_value<gated>(u, x, i));
    }
}

// The sum of g z over one row (width).
template <bool gated, class T, class A>
A dot_row(const T* dy, const T* z, const T* w, const T* u, int64_t width) {
    A dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; i++) {
        const A x = z[i];
        dot += rela_dot(A(dy[i]), x, A(w[i]), gate_value<gated>(u, x, i));
    }
    return dot;
}

// dz of one row (width), which may be dy; dw, du (width) += its part.
template <bool gated, class T, class A>
void backward_row(T* dz, A* dw, A* du, const T* dy, const T* z, const T* w, const T* u, A rstd, A pull, int64_t width) {
#pragma omp simd
    for (int64_t i = 0; i < width; i++) {
        const A x = z[i], d = dy[i], s = gate_value<gated>(u, x, i);
        RelaGradient<A> gradient;
        if constexpr (gated) {
            gradient = gated_rela_gradient(d, x, rstd, pull, A(w[i]), A(u[i]), s);
            du[i] += gradient.u;
        } else {
            gradient = rela_gradient(d, x, rstd, pull, A(w[i]), s);
        }
        dw[i] += gradient.w;
        dz[i] = gradient.z;
    }
}

}  // namespace

template <class B>
void sum_of_squares_by_row(Stream, typename B::A* squares, const typename B::T* z, int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 1, rows));
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const typename B::T* row = z + r * width;
            A sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < width; i++) sum += A(row[i]) * A(row[i]);
            squares[r] = sum;
        }
    });
}

template <class B>
void rela_norm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* z,
                       const typename B::A* squares, const typename B::T* w, const typename B::T* u, int64_t rows,
                       int64_t width, int64_t whole_width, double eps) {
    const Timed timed(__func__, moved<B>(rows, width, 2, 2 * rows + (u ? 2 : 1) * width));
    using A = typename B::A;
    with_gate(u, [&]<bool gated>(std::bool_constant<gated>) {
        parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; r++) {
                rstd[r] = A(1) / std::sqrt(squares[r] / A(whole_width) + A(eps));
                forward_row<gated>(y + r * width, z + r * width, w, u, rstd[r], width);
            }
        });
    });
}

template <class B>
void rela_norm_dots(Stream, typename B::A* dots, const typename B::T* dy, const typename B::T* z,
                    const typename B::T* w, const typename B::T* u, int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 2, rows + (u ? 2 : 1) * width));
    using T = typename B::T;
    with_gate(u, [&]<bool gated>(std::bool_constant<gated>) {
        parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; r++)
                dots[r] = dot_row<gated, T, typename B::A>(dy + r * width, z + r * width, w, u, width);
        });
    });
}

template <class B>
void rela_norm_backward(Stream, typename B::T* dz, typename B::G* dw, typename B::G* du, const typename B::T* dy,
                        const typename B::T* z, const typename B::T* w, const typename B::T* u,
                        const typename B::A* rstd, const typename B::A* dots, int64_t rows, int64_t width,
                        int64_t whole_width) {
    const Timed timed(__func__, moved<B>(rows, width, 3, 2 * rows + (u ? 6 : 3) * width));
    using T = typename B::T;
    using A = typename B::A;
    const auto add_row = [&]<bool gated>(std::bool_constant<gated>, int64_t r, A* partial_dw, A* partial_du) {
        backward_row<gated>(dz + r * width, partial_dw, partial_du, dy + r * width, z + r * width, w, u, rstd[r],
                            rela_pull(rstd[r], dots[r], A(whole_width)), width);
    };
    if (u)
        sum_rows<T, A>(std::array{dw, du}, rows, width,
                       [&](int64_t r, A* partial) { add_row(std::true_type(), r, partial, partial + width); });
    else
        sum_rows<T, A>(dw, rows, width, [&](int64_t r, A* partial) {
            add_row(std::false_type(), r, partial, static_cast<A*>(nullptr));
        });
}

#define INSTANTIATE(B)                                                                                           \
    template void sum_of_squares_by_row<B>(Stream, B::A*, const B::T*, int64_t, int64_t);                        \
    template void rela_norm_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::A*, const B::T*, const B::T*, \
                                       int64_t, int64_t, int64_t, double);                                       \
    template void rela_norm_dots<B>(Stream, B::A*, const B::T*, const B::T*, const B::T*, const B::T*, int64_t,  \
                                    int64_t);                                                                    \
    template void rela_norm_backward<B>(Stream, B::T*, B::G*, B::G*, const B::T*, const B::T*, const B::T*,      \
                                        const B::T*, const B::A*, const B::A*, int64_t, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
