// Matrix products in tiles, for grouped.cu and product.cuh: c (m, n) = scale a b^T + base_scale base, where factors are
// a (m, depth) and b (n, depth), each as it is or stored transposed. Sums are float, in order of depth.
//
// A block makes a tile of c, kSide x kSide. It goes along the depth in steps of kDepth; of each step a slice of either
// factor lies in shared memory, (kDepth, kSide). A thread sums up 8 x 8 elements, in four pieces of 4 x 4: what a piece
// needs of a slice's row is one 16-byte access, and neighbouring lanes take neighbouring pieces.
//
//         columns 4 x .. 4 x + 3   32 + 4 x ..
//        +-----------------------+-----------------------+
//        |  piece (0, 0)         |  piece (0, 1)         |   rows 4 y .. 4 y + 3
//        +-----------------------+-----------------------+
//        |  piece (1, 0)         |  piece (1, 1)         |   rows 32 + 4 y ..
//        +-----------------------+-----------------------+
#pragma once
#include <type_traits>
#include <utility>

#include "kernels/cuda/prim/device.cuh"

namespace sluice {

// Which index of a factor (side, depth) runs fastest in memory; `side` is m or n.
enum class Fastest { depth, side };

template <class Y, class T, Fastest kA, Fastest kB, bool kWide>
struct TileProduct {
    static constexpr int kSide = 64, kDepth = 16;
    static constexpr int kPieces = kSide / 8;  // in a direction: 4 x 4 each, half of the tile
    static constexpr int kThreads = kPieces * kPieces;

    Global<Y> c;
    Global<const T> a, b;
    int64_t m, n, depth;
    bool rounds;           // factors to bf16
    Global<const Y> base;  // (m, n), may be c; null: none
    float base_scale, scale;

    // The tile whose first element is c(i0, j0).
    DEVICE void tile(int64_t i0, int64_t j0) const {
        SHARED(float, slice_a, kSlice);
        SHARED(float, slice_b, kSlice);
        const int y = thread() / kPieces * 4, x = thread() % kPieces * 4;
        float sum[8][8] = {};
        for (int64_t l0 = 0; l0 < depth; l0 += kDepth) {
            fetch<kA>(slice_a, a, m, i0, l0);
            fetch<kB>(slice_b, b, n, j0, l0);
            block_barrier();
            for (int l = 0; l < kDepth; l++) {
                const Vec<float, 4> row[2] = {load<4>(slice_a + (l * kRow + y)),
                                              load<4>(slice_a + (l * kRow + kSide / 2 + y))};
                const Vec<float, 4> column[2] = {load<4>(slice_b + (l * kRow + x)),
                                                 load<4>(slice_b + (l * kRow + kSide / 2 + x))};
                for (int r = 0; r < 8; r++)
                    for (int s = 0; s < 8; s++) sum[r][s] += row[r / 4][r % 4] * column[s / 4][s % 4];
            }
            block_barrier();
        }
        // Row numbers are constants, so that sums stay in registers.
        const auto put_rows = [&]<int... r>(std::integer_sequence<int, r...>) {
            (put_row(i0 + r / 4 * (kSide / 2) + y + r % 4, j0 + x, sum[r]), ...);
        };
        put_rows(std::make_integer_sequence<int, 8>());
    }

 private:
    static constexpr int kRow = kSide + 4;  // of a slice; padded, so that transposing writes do not meet in one bank
    static constexpr int kSlice = kDepth * kRow;

    // A slice (kDepth, kSide) of a factor (sides, depth), from (side0, l0): zeros where it ends.
    template <Fastest kFastest>
    DEVICE void fetch(Shared<float> slice, Global<const T> factor, int64_t sides, int64_t side0, int64_t l0) const {
        constexpr bool along_depth = kFastest == Fastest::depth;
        constexpr int N = kWide ? 16 / int(sizeof(T)) : 1, kLine = (along_depth ? kDepth : kSide) / N;
        for (int piece = thread(); piece < kSide * kDepth / N; piece += kThreads) {
            const int fast = piece % kLine * N, slow = piece / kLine;
            const int side = along_depth ? slow : fast, l = along_depth ? fast : slow;
            Vec<T, N> v = {};
            if (side0 + side < sides && l0 + l < depth)
                v = load<N>(factor + (along_depth ? (side0 + side) * depth + l0 + l : (l0 + l) * sides + side0 + side));
            for (int e = 0; e < N; e++)
                slice[along_depth ? (l + e) * kRow + side : l * kRow + side + e] =
                    rounds ? float(bf16(float(v[e]))) : float(v[e]);
        }
    }

    // c(i, j .. j + 3) and c(i, j + kSide / 2 ..), as far as there is c.
    DEVICE void put_row(int64_t i, int64_t j, const float (&sum)[8]) const {
        constexpr int N = kWide ? 4 : 1;
        if (i >= m) return;
        const auto put_all = [&]<int... at>(std::integer_sequence<int, at...>) {
            (put<N, at * N>(i, j + at * N / 4 * (kSide / 2) + at * N % 4, sum), ...);
        };
        put_all(std::make_integer_sequence<int, 8 / N>());
    }
    template <int N, int kFirst>
    DEVICE void put(int64_t i, int64_t j, const float (&sum)[8]) const {
        if (j >= n) return;
        const int64_t index = i * n + j;
        Vec<Y, N> old = {};
        if (base) old = load<N>(base + index);
        Vec<Y, N> v;
        for (int e = 0; e < N; e++) v[e] = Y(scale * sum[kFirst + e] + base_scale * float(old[e]));
        store<N>(c + index, v);
    }
};

// One product: blocks are the tiles of c, those along m first.
template <class P>
struct LinearProduct {
    static constexpr int kThreads = P::kThreads;
    P product;
    DEVICE void operator()() const { product.tile(block_x() * P::kSide, block_y() * P::kSide); }
};

// What a product computes, for launchers; see TileProduct.
template <class Y, class T>
struct ProductShape {
    Y* c;
    const T *a, *b;
    int64_t m, n, depth;
    bool rounds;
    const Y* base = nullptr;
    float base_scale = 1, scale = 1;
};

// Whether the stream's products take factors rounded to bf16. Factors that are bf16 stay as they are.
inline bool rounds(Stream stream) { return stream.matmul == MatmulPrecision::bf16; }

// launch(product) with the TileProduct of the shape: with accesses of 16 bytes where all tensors allow these.
template <Fastest kA, Fastest kB, class Y, class T, class Launch>
void with_product(const ProductShape<Y, T>& p, Launch launch) {
    const bool wide = vector_width<T>(kA == Fastest::depth ? p.depth : p.m, p.a) > 1 &&
                      vector_width<T>(kB == Fastest::depth ? p.depth : p.n, p.b) > 1 &&
                      vector_width<Y>(p.n, p.c, p.base) > 1;
    const auto with = [&]<bool kWide>(std::bool_constant<kWide>) {
        launch(TileProduct<Y, T, kA, kB, kWide>{p.c, p.a, p.b, p.m, p.n, p.depth, p.rounds, p.base, p.base_scale,
                                                p.scale});
    };
    if (wide)
        with(std::true_type());
    else
        with(std::false_type());
}

// Queues one product.
template <Fastest kA, Fastest kB, class Y, class T>
void multiply(const Op& op, const ProductShape<Y, T>& shape) {
    with_product<kA, kB>(shape, [&]<class P>(const P& product) {
        op.launch(LinearProduct<P>{product}, {.grid = {ceil_div(shape.m, P::kSide), ceil_div(shape.n, P::kSide)}});
    });
}

}  // namespace sluice
