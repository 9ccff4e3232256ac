// Linear maps.
#include <algorithm>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

template <class B, class Y>
void linear_forward(Stream stream, Y* y, const typename B::T* x, const typename B::T* w, int64_t rows, int64_t in,
                    int64_t out) {
    const Timed timed(__func__, multiplied(rows, out, in));
    if (rows > 0 && out > 0) gemm<B>(y, x, w, GemmShape::nt(rows, out, in).in(stream.matmul));
}

template <class B>
void linear_backward_input(Stream stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                           int64_t rows, int64_t in, int64_t out, Into into) {
    const Timed timed(__func__, multiplied(rows, in, out));
    if (out == 0 && into == Into::overwrite) std::fill(dx, dx + rows * in, typename B::T(0));
    if (rows > 0 && out > 0)
        gemm<B>(dx, dy, w, GemmShape::nn(rows, in, out).accumulating(into == Into::add).in(stream.matmul));
}

template <class B>
void linear_backward_weight(Stream stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                            int64_t rows, int64_t in, int64_t out) {
    const Timed timed(__func__, multiplied(out, in, rows));
    if (rows > 0 && out > 0) gemm<B>(dw, dy, x, GemmShape::tn(out, in, rows).accumulating().in(stream.matmul));
}

template <class B>
void grouped_linear_forward(Stream stream, typename B::T* y, const typename B::T* x, const typename B::T* w,
                            const GroupedShape& n) {
    const Timed timed(__func__, ragged(multiplied(n.rows, n.out, n.in)));
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm<B>(y + at * n.out, x + at * n.in, w + e * n.out * n.in,
                           GemmShape::nt(rows, n.out, n.in).in(stream.matmul));
    }
}

template <class B>
void grouped_linear_backward_input(Stream stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                                   const GroupedShape& n, Into into) {
    const Timed timed(__func__, ragged(multiplied(n.rows, n.in, n.out)));
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm<B>(dx + at * n.in, dy + at * n.out, w + e * n.out * n.in,
                           GemmShape::nn(rows, n.in, n.out).accumulating(into == Into::add).in(stream.matmul));
    }
}

template <class B>
void grouped_linear_backward_weight(Stream stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                                    const GroupedShape& n) {
    const Timed timed(__func__, ragged(multiplied(n.rows, n.out, n.in)));
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm<B>(dw + e * n.out * n.in, dy + at * n.out, x + at * n.in,
                           GemmShape::tn(n.out, n.in, rows).accumulating().in(stream.matmul));
    }
}

template <class B>
void bias_forward(Stream, Rows<typename B::T> y, const typename B::T* bias, int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 2));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            auto* row = y.row(r);
#pragma omp simd
            for (int64_t i = 0; i < width; i++) row[i] += bias[i];
        }
    });
}

template <class B>
void bias_backward(Stream, typename B::G* db, Rows<const typename B::T> dy, int64_t rows, int64_t width) {
    const Timed timed(__func__, moved<B>(rows, width, 1));
    using A = typename B::A;
    sum_rows<typename B::G, A>(db, rows, width, [&](int64_t r, A* partial) {
        const auto* row = dy.row(r);
#pragma omp simd
        for (int64_t i = 0; i < width; i++) partial[i] += A(row[i]);
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void linear_forward<B, B::T>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t);        \
    template void linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t, Into); \
    template void grouped_linear_forward<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&);            \
    template void grouped_linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&,      \
                                                   Into);                                                             \
    template void grouped_linear_backward_weight<B>(Stream, B::G*, const B::T*, const B::T*, const GroupedShape&);    \
    template void linear_backward_weight<B>(Stream, B::G*, const B::T*, const B::T*, int64_t, int64_t, int64_t);      \
    template void bias_forward<B>(Stream, Rows<B::T>, const B::T*, int64_t, int64_t);                                 \
    template void bias_backward<B>(Stream, B::G*, Rows<const B::T>, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
