// Linear maps of groups of unequal length: tiled products whose blocks find on the device, from the experts' offsets,
// what they work on.
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/tile_product.cuh"
#include "kernels/ops.h"

namespace sluice {
namespace {

// Rows of c and a belong to experts, and b (experts, n, depth) has a matrix for each: every expert's rows are cut into
// tiles, and blocks along x are the tiles of all experts, one expert after another. There may be more blocks.
template <class P>
struct ProductOfRows {
    static constexpr int kThreads = P::kThreads;
    P product;  // m: unused
    Global<const int64_t> offsets;
    int64_t experts;

    DEVICE void operator()() const {
        int64_t tile = block_x(), begin = offsets[0];
        for (int64_t e = 0; e < experts; e++) {
            const int64_t end = offsets[e + 1], tiles = (end - begin + P::kSide - 1) / P::kSide;
            if (tile < tiles) return of_expert(e, begin, end - begin).tile(tile * P::kSide, block_y() * P::kSide);
            tile -= tiles;
            begin = end;
        }
    }

 private:
    DEVICE P of_expert(int64_t e, int64_t begin, int64_t rows) const {
        P one = product;
        one.m = rows;
        one.a = product.a + begin * product.depth;
        one.b = product.b + e * product.n * product.depth;
        one.c = product.c + begin * product.n;
        if (product.base) one.base = product.base + begin * product.n;
        return one;
    }
};

// The depth are rows that belong to experts, and c (experts, m, n) has a matrix for each: blocks along z are experts.
template <class P>
struct ProductOverRows {
    static constexpr int kThreads = P::kThreads;
    P product;  // depth: unused
    Global<const int64_t> offsets;

    DEVICE void operator()() const {
        const int64_t e = block_z(), begin = offsets[e], matrix = e * product.m * product.n;
        P one = product;
        one.depth = offsets[e + 1] - begin;
        if (one.depth == 0) return;
        one.a = product.a + begin * product.m;
        one.b = product.b + begin * product.n;
        one.c = product.c + matrix;
        one.base = product.base + matrix;
        one.tile(block_x() * P::kSide, block_y() * P::kSide);
    }
};

template <Fastest kB, class T>
void multiply_rows(const Op& op, ProductShape<T, T> shape, const GroupedShape& n) {
    with_product<Fastest::depth, kB>(shape, [&]<class P>(const P& product) {
        // Every expert may have one tile that is not full.
        const int64_t tiles = n.rows / P::kSide + std::min(n.experts, n.rows);
        op.launch(ProductOfRows<P>{product, n.offsets, n.experts}, {.grid = {tiles, ceil_div(shape.n, P::kSide)}});
    });
}

// columns, depth: of the product of all rows.
Op grouped_op(const char* name, Stream stream, const GroupedShape& n, int64_t columns, int64_t depth) {
    return Op(name, stream, {{"rows", n.rows}, {"experts", n.experts}, {"in", n.in}, {"out", n.out}},
              ragged(multiplied(n.rows, columns, depth)));
}

}  // namespace

template <class B>
void grouped_linear_forward(Stream stream, typename B::T* y, const typename B::T* x, const typename B::T* w,
                            const GroupedShape& n) {
    if (n.rows == 0) return;
    using T = typename B::T;
    multiply_rows<Fastest::depth>(grouped_op(__func__, stream, n, n.out, n.in),
                                  ProductShape<T, T>{y, x, w, n.rows, n.out, n.in, rounds(stream)}, n);
}

template <class B>
void grouped_linear_backward_input(Stream stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                                   const GroupedShape& n, Into into) {
    if (n.rows == 0) return;
    using T = typename B::T;
    const T* base = into == Into::add ? dx : nullptr;
    multiply_rows<Fastest::side>(grouped_op(__func__, stream, n, n.in, n.out),
                                 ProductShape<T, T>{dx, dy, w, n.rows, n.in, n.out, rounds(stream), base}, n);
}

template <class B>
void grouped_linear_backward_weight(Stream stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                                    const GroupedShape& n) {
    if (n.rows == 0) return;
    const Op op = grouped_op(__func__, stream, n, n.out, n.in);
    const ProductShape<typename B::G, typename B::T> shape{dw, dy, x, n.out, n.in, 0, rounds(stream), dw};
    with_product<Fastest::side, Fastest::side>(shape, [&]<class P>(const P& product) {
        op.launch(ProductOverRows<P>{product, n.offsets},
                  {.grid = {ceil_div(n.out, P::kSide), ceil_div(n.in, P::kSide), n.experts}});
    });
}

#define INSTANTIATE(B)                                                                                           \
    template void grouped_linear_forward<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&);       \
    template void grouped_linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&, \
                                                   Into);                                                        \
    template void grouped_linear_backward_weight<B>(Stream, B::G*, const B::T*, const B::T*, const GroupedShape&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
