// RMSNorm, RoPE, and both fused: y = x rstd w, rstd = 1 / sqrt(mean(x^2) + eps). In backward, with d = dy w: dx = rstd
// (d - x rstd^2 mean(d x)), dw = sum over rows of dy x rstd. What is done to a number is in kernels/norm_math.h. Fused
// ops also do what comes before (the residual sum) or after (the rotation) to a row while it is in cache.
#include <cmath>
#include <tuple>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/norm_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/residual_math.h"

namespace sluice {
namespace {

// y (width) = the norm of x (width); returns rstd. Two passes: the sum of squares, then the product. Not inlined, so
// that a fused op gets the bits of rmsnorm_forward.
template <class T, class A>
[[gnu::noinline]] A norm_row(T* y, const T* x, const T* w, int64_t width, double eps) {
    A squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < width; i++) squares += A(x[i]) * A(x[i]);
    const A rstd = A(1) / std::sqrt(squares / A(width) + A(eps));
#pragma omp simd
    for (int64_t i = 0; i < width; i++) y[i] = norm_value(A(x[i]), rstd, A(w[i]));
    return rstd;
}

// Of one row: dx (width) = or += its gradient, dw (width) += its part. Two passes: the row's dot product d x (and dw),
// then dx. dx may be dy.
template <class T, class A>
void norm_row_backward(T* dx, A* dw, const T* dy, const T* x, const T* w, A rstd, int64_t width, Into into) {
    A dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < width; i++) {
        dot += norm_dot(A(dy[i]), A(w[i]), A(x[i]));
        dw[i] += norm_weight_gradient(A(dy[i]), A(x[i]), rstd);
    }
    const A pull = norm_pull(rstd, dot, A(width));
    if (into == Into::add) {
#pragma omp simd
        for (int64_t i = 0; i < width; i++) dx[i] += norm_gradient(A(dy[i]), A(w[i]), A(x[i]), rstd, pull);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < width; i++) dx[i] = norm_gradient(A(dy[i]), A(w[i]), A(x[i]), rstd, pull);
    }
}

// y (2 half) = x (2 half), each pair (x[i], x[half + i]) rotated by its angle, or back with direction -1. cos, sin
// (half). y may be x.
template <class T, class A>
void rotate_row(T* y, const T* x, const A* cos, const A* sin, int64_t half, A direction) {
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        const A a = x[i], b = x[half + i], signed_sin = direction * sin[i];
        y[i] = rotated_first(a, b, cos[i], signed_sin);
        y[half + i] = rotated_second(a, b, cos[i], signed_sin);
    }
}

// A head of a token in tensors whose rows are tokens. Heads are counted as (sequence, token, head).
struct Head {
    int64_t index, token, column;  // `column` is its first
    int64_t t;                     // the token's position in its sequence
};

// f(Head) for heads begin .. end - 1, which reads them in `read`.
template <class F, class... X>
void each_head(const RopeShape& n, int64_t begin, int64_t end, F f, const Rows<X>&... read) {
    const int64_t token = begin / n.heads;
    std::tuple ahead{Ahead(read, token, n.sequences * n.length, n.heads * n.dim)...};
    Head head{begin, token, begin % n.heads * n.dim, token % n.length};
    for (; head.index < end; head.index++) {
        if (head.column == 0) std::apply([&](auto&... each) { (each.of(n.heads * n.dim), ...); }, ahead);
        f(head);
        head.column += n.dim;
        if (head.column < n.heads * n.dim) continue;
        head.column = 0;
        head.token++;
        head.t = head.t + 1 < n.length ? head.t + 1 : 0;
    }
}
// The same for all heads, on all cores.
template <class F, class... X>
void each_head(const RopeShape& n, F f, const Rows<X>&... read) {
    parallel_chunks(n.sequences * n.length, n.heads * n.dim,
                    [&](int64_t begin, int64_t end) { each_head(n, begin * n.heads, end * n.heads, f, read...); });
}

}  // namespace

template <class B>
void rmsnorm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* x, const typename B::T* w,
                     int64_t rows, int64_t width, double eps) {
    const Timed timed(__func__, moved<B>(rows, width, 2));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            rstd[r] = norm_row<typename B::T, typename B::A>(y + r * width, x + r * width, w, width, eps);
    });
}

template <class B>
void rmsnorm_backward(Stream, typename B::T* dx, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                      const typename B::T* w, const typename B::A* rstd, int64_t rows, int64_t width, Into into) {
    const Timed timed(__func__, moved<B>(rows, width, into == Into::add ? 4 : 3));
    using A = typename B::A;
    sum_rows<typename B::G, A>(dw, rows, width, [&](int64_t r, A* partial_dw) {
        norm_row_backward(dx + r * width, partial_dw, dy + r * width, x + r * width, w, rstd[r], width, into);
    });
}

template <class B>
void residual_rmsnorm_forward(Stream, typename B::T* out, typename B::T* normed, typename B::A* rstd,
                              const typename B::T* x, const typename B::T* y, const typename B::T* w, int64_t rows,
                              int64_t width, double eps, double clip) {
    const Timed timed(__func__, moved<B>(rows, width, 4));
    using T = typename B::T;
    const T limit = T(clip);
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            T* sum = out + r * width;
            const T *skip = x + r * width, *branch = y + r * width;
            if (clip == 0) {
#pragma omp simd
                for (int64_t i = 0; i < width; i++) sum[i] = skip[i] + branch[i];
            } else {
#pragma omp simd
                for (int64_t i = 0; i < width; i++) sum[i] = residual_value(skip[i], branch[i], limit);
            }
            rstd[r] = norm_row<T, typename B::A>(normed + r * width, sum, w, width, eps);
        }
    });
}

template <class B>
void rmsnorm_rope_forward(Stream, typename B::T* y, typename B::A* rstd, Rows<const typename B::T> x,
                          const typename B::T* w, const typename B::A* cos, const typename B::A* sin,
                          const RopeShape& n, double eps) {
    const Timed timed(__func__, moved<B>(n.sequences * n.length, n.heads * n.dim, 2));
    using A = typename B::A;
    const int64_t half = n.dim / 2;
    const auto head_forward = [&](const Head& head) {
        auto* out = y + head.index * n.dim;
        rstd[head.index] = norm_row<typename B::T, A>(out, x.row(head.token) + head.column, w, n.dim, eps);
        rotate_row(out, out, cos + head.t * half, sin + head.t * half, half, A(1));
    };
    each_head(n, head_forward, x);
}

template <class B>
void rmsnorm_rope_backward(Stream, Rows<typename B::T> dx, typename B::G* dw, Rows<const typename B::T> dy,
                           Rows<const typename B::T> x, const typename B::T* w, const typename B::A* rstd,
                           const typename B::A* cos, const typename B::A* sin, const RopeShape& n) {
    const Timed timed(__func__, moved<B>(n.sequences * n.length, n.heads * n.dim, 3));
    using A = typename B::A;
    const int64_t half = n.dim / 2, heads = n.sequences * n.length * n.heads;
    // The rotation back, into dx, then the norm's backward in place.
    sum_chunks<typename B::G, A>(std::array{dw}, heads, n.dim, [&](int64_t begin, int64_t end, A* partial_dw) {
        const auto head_backward = [&](const Head& head) {
            auto* out = dx.row(head.token) + head.column;
            rotate_row(out, dy.row(head.token) + head.column, cos + head.t * half, sin + head.t * half, half, A(-1));
            norm_row_backward(out, partial_dw, out, x.row(head.token) + head.column, w, rstd[head.index], n.dim,
                              Into::overwrite);
        };
        each_head(n, begin, end, head_backward, dy, x);
    });
}

template <class B>
void rope(Stream, Rows<typename B::T> x, const typename B::A* cos, const typename B::A* sin, const RopeShape& n,
          int direction) {
    const Timed timed(__func__, moved<B>(n.sequences * n.length, n.heads * n.dim, 2));
    using A = typename B::A;
    const int64_t half = n.dim / 2;
    const auto rotate = [&](const Head& head) {
        auto* in_place = x.row(head.token) + head.column;
        rotate_row(in_place, in_place, cos + head.t * half, sin + head.t * half, half, A(direction));
    };
    each_head(n, rotate, x);
}

#define INSTANTIATE(B)                                                                                                 \
    template void rmsnorm_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::T*, int64_t, int64_t, double);        \
    template void rmsnorm_backward<B>(Stream, B::T*, B::G*, const B::T*, const B::T*, const B::T*, const B::A*,        \
                                      int64_t, int64_t, Into);                                                         \
    template void residual_rmsnorm_forward<B>(Stream, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::T*,      \
                                              int64_t, int64_t, double, double);                                       \
    template void rmsnorm_rope_forward<B>(Stream, B::T*, B::A*, Rows<const B::T>, const B::T*, const B::A*,            \
                                          const B::A*, const RopeShape&, double);                                      \
    template void rmsnorm_rope_backward<B>(Stream, Rows<B::T>, B::G*, Rows<const B::T>, Rows<const B::T>, const B::T*, \
                                           const B::A*, const B::A*, const B::A*, const RopeShape&);                   \
    template void rope<B>(Stream, Rows<B::T>, const B::A*, const B::A*, const RopeShape&, int);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
