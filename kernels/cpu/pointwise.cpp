// Pointwise ops: one loop over (count) elements each. Formulas are those of kernels/gate_math.h, swiglu_math.h and
// residual_math.h.
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/prefetch.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/residual_math.h"
#include "kernels/swiglu_math.h"

namespace sluice {
namespace {

// f(i) for every element, on all cores.
template <class F>
void each(int64_t count, F f) {
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++) f(i);
    });
}

// f(first, last) for the pieces of a row.
template <class F>
void each_piece(int64_t width, F f) {
    for (int64_t i = 0; i < width; i += kPiece) f(i, std::min(width, i + kPiece));
}

}  // namespace

template <class B>
void activation_forward(Stream, typename B::T* y, const typename B::T* x, int64_t count, Activation act) {
    const Timed timed(__func__, moved<B>(1, count, 2));
    using A = typename B::A;
    with_activation(act, [&](auto a) { each(count, [&](int64_t i) { y[i] = a.value(A(x[i]), logistic); }); });
}

template <class B>
void activation_backward(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* x, int64_t count,
                         Activation act) {
    const Timed timed(__func__, moved<B>(1, count, 3));
    using A = typename B::A;
    with_activation(act, [&](auto a) { each(count, [&](int64_t i) { dx[i] = dy[i] * a.slope(A(x[i]), logistic); }); });
}

template <class B>
void swiglu_forward(Stream, typename B::T* h, const typename B::T* gate_up, int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 3));
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        const Rows<const typename B::T> gates{gate_up, 2 * width}, ups = gates.columns(width);
        Ahead gate_ahead(gates, begin, rows, width), up_ahead(ups, begin, rows, width);
        for (int64_t r = begin; r < end; r++)
            each_piece(width, [&](int64_t first, int64_t last) {
                const auto *gate = gates.row(r), *up = ups.row(r);
                auto* row = h + r * width;
                gate_ahead.of(last - first);
                up_ahead.of(last - first);
#pragma omp simd
                for (int64_t i = first; i < last; i++)
                    row[i] = swiglu_value(A(gate[i]), A(up[i]), logistic(A(gate[i])));
            });
    });
}

template <class B>
void swiglu_backward(Stream, typename B::T* dgate_up, const typename B::T* dh, const typename B::T* gate_up,
                     int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 5));
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        const Rows<const typename B::T> gates{gate_up, 2 * width}, ups = gates.columns(width);
        Ahead gate_ahead(gates, begin, rows, width), up_ahead(ups, begin, rows, width);
        for (int64_t r = begin; r < end; r++)
            each_piece(width, [&](int64_t first, int64_t last) {
                const auto *gate = gates.row(r), *up = ups.row(r), *row = dh + r * width;
                auto *dgate = dgate_up + 2 * r * width, *dup = dgate + width;
                gate_ahead.of(last - first);
                up_ahead.of(last - first);
#pragma omp simd
                for (int64_t i = first; i < last; i++) {
                    const A d = row[i], s = gate[i], u = up[i], g = logistic(s);
                    const SwigluGradient<A> gradient = swiglu_gradient(d, s, u, g);
                    dgate[i] = gradient.gate;
                    dup[i] = gradient.up;
                }
            });
    });
}

template <class B>
void residual_forward(Stream, typename B::T* out, const typename B::T* x, const typename B::T* y, int64_t count,
                      double clip) {
    const Timed timed(__func__, moved<B>(1, count, 3));
    using T = typename B::T;
    const T limit = T(clip);
    if (clip == 0)
        each(count, [&](int64_t i) { out[i] = x[i] + y[i]; });
    else
        each(count, [&](int64_t i) { out[i] = residual_value(x[i], y[i], limit); });
}

template <class B>
void residual_backward(Stream, typename B::T* dy, const typename B::T* dout, const typename B::T* y, int64_t count,
                       double clip) {
    const Timed timed(__func__, moved<B>(1, count, clip == 0 ? 2 : 3));
    using T = typename B::T;
    const T limit = T(clip);
    if (clip == 0)
        each(count, [&](int64_t i) { dy[i] = dout[i]; });
    else
        each(count, [&](int64_t i) { dy[i] = residual_gradient(dout[i], y[i], limit); });
}

template <class B>
void add(Stream, typename B::T* x, const typename B::T* y, int64_t count) {
    const Timed timed(__func__, moved<B>(1, count, 3));
    each(count, [&](int64_t i) { x[i] += y[i]; });
}

#define INSTANTIATE(B)                                                                                  \
    template void activation_forward<B>(Stream, B::T*, const B::T*, int64_t, Activation);               \
    template void activation_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, Activation); \
    template void swiglu_forward<B>(Stream, B::T*, const B::T*, int64_t, int64_t);                      \
    template void swiglu_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t);        \
    template void residual_forward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, double);        \
    template void residual_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, double);       \
    template void add<B>(Stream, B::T*, const B::T*, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
