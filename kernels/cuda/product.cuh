// Matrix products of ops: by cuBLASLt (products.h), else in tiles.
#pragma once
#include "kernels/cuda/products.h"
#include "kernels/cuda/tile_product.cuh"

namespace sluice {

// Queues one product. Factors that have to be rounded, and sums of nothing, the library cannot be asked for. The
// stream's scratch memory may be used, as multiply_by_library() says.
template <Fastest kA, Fastest kB, class Y, class T>
void product(const Op& op, Stream stream, const ProductShape<Y, T>& p) {
    constexpr bool a_transposed = kA == Fastest::side, b_transposed = kB == Fastest::side;
    if (p.m == 0 || p.n == 0) return;
    const bool for_library = p.depth > 0 && (sizeof(T) == 2 || !p.rounds);
    if (for_library && multiply_by_library(stream, {.m = p.m,
                                                    .n = p.n,
                                                    .depth = p.depth,
                                                    .element = kElement<T>,
                                                    .result = kElement<Y>,
                                                    .a = {p.a, a_transposed ? p.m : p.depth, a_transposed},
                                                    .b = {p.b, b_transposed ? p.n : p.depth, b_transposed},
                                                    .c = p.c,
                                                    .base = p.base,
                                                    .stride = p.n,
                                                    .scale = p.scale,
                                                    .base_scale = p.base_scale}))
        return op.queued("cublasLtMatmul");
    multiply<kA, kB>(op, p);
}

}  // namespace sluice
