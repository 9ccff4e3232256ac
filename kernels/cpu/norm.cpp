// RMSNorm: y = x rstd w, rstd = 1 / sqrt(mean(x^2) + eps). With d = dy w: dx = rstd (d - x rstd^2 mean(d x)), dw = sum
// dy x rstd.
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

template <class B>
void rmsnorm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* x, const typename B::T* w,
                     int64_t rows, int64_t width, double eps) {
    const Timed timed(__func__);
    using A = typename B::A;
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* row = x + r * width;
            A squares = 0;
#pragma omp simd reduction(+ : squares)
            for (int64_t i = 0; i < width; i++) squares += A(row[i]) * A(row[i]);
            const A scale = A(1) / std::sqrt(squares / A(width) + A(eps));
            rstd[r] = scale;
#pragma omp simd
            for (int64_t i = 0; i < width; i++) y[r * width + i] = A(row[i]) * scale * A(w[i]);
        }
    });
}

template <class B>
void rmsnorm_backward(Stream, typename B::T* dx, typename B::T* dw, const typename B::T* dy, const typename B::T* x,
                      const typename B::T* w, const typename B::A* rstd, int64_t rows, int64_t width, Into into) {
    const Timed timed(__func__);
    using A = typename B::A;
    using T = typename B::T;
    sum_rows<T, A>(dw, rows, width, [&](int64_t r, A* partial) {
        const T *d = dy + r * width, *row = x + r * width;
        T* out = dx + r * width;
        const A scale = rstd[r];
        A dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = 0; i < width; i++) {
            dot += A(d[i]) * A(w[i]) * A(row[i]);
            partial[i] += A(d[i]) * A(row[i]) * scale;
        }
        const A pull = scale * scale * dot / A(width);
        if (into == Into::add) {
#pragma omp simd
            for (int64_t i = 0; i < width; i++) out[i] += scale * (A(d[i]) * A(w[i]) - A(row[i]) * pull);
        } else {
#pragma omp simd
            for (int64_t i = 0; i < width; i++) out[i] = scale * (A(d[i]) * A(w[i]) - A(row[i]) * pull);
        }
    });
}

#define INSTANTIATE(B)                                                                                          \
    template void rmsnorm_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::T*, int64_t, int64_t, double); \
    template void rmsnorm_backward<B>(Stream, B::T*, B::T*, const B::T*, const B::T*, const B::T*, const B::A*, \
                                      int64_t, int64_t, Into);
INSTANTIATE(Cpu<float>)
INSTANTIATE(Cpu<double>)

}  // namespace sluice
