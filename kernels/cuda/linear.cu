// Linear maps, as products.
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/ops.h"

namespace sluice {

template <class B, class Y>
void linear_forward(Stream stream, Y* y, const typename B::T* x, const typename B::T* w, int64_t rows, int64_t in,
                    int64_t out) {
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"in", in}, {"out", out}}, multiplied(rows, out, in));
    product<Fastest::depth, Fastest::depth>(op, stream,
                                            ProductShape<Y, typename B::T>{y, x, w, rows, out, in, rounds(stream)});
}

template <class B>
void linear_backward_input(Stream stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                           int64_t rows, int64_t in, int64_t out, Into into) {
    if (rows == 0) return;
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"in", in}, {"out", out}}, multiplied(rows, in, out));
    product<Fastest::depth, Fastest::side>(
        op, stream, ProductShape<T, T>{dx, dy, w, rows, in, out, rounds(stream), into == Into::add ? dx : nullptr});
}

template <class B>
void linear_backward_weight(Stream stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                            int64_t rows, int64_t in, int64_t out) {
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"in", in}, {"out", out}}, multiplied(out, in, rows));
    product<Fastest::side, Fastest::side>(
        op, stream, ProductShape<typename B::G, typename B::T>{dw, dy, x, out, in, rows, rounds(stream), dw});
}

#define INSTANTIATE(B)                                                                                                \
    template void linear_forward<B, B::A>(Stream, B::A*, const B::T*, const B::T*, int64_t, int64_t, int64_t);        \
    template void linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t, Into); \
    template void linear_backward_weight<B>(Stream, B::G*, const B::T*, const B::T*, int64_t, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)
template void linear_forward<Cuda<bf16>, bf16>(Stream, bf16*, const bf16*, const bf16*, int64_t, int64_t, int64_t);

}  // namespace sluice
