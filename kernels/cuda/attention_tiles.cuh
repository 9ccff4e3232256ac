// What the kernels of attention.cu are made of: which keys a query sees, the tensors of one head, tiles of them in
// shared memory, and the products of tiles.
//
// Tiles are float, whatever their tensor is, and their sizes count up to multiples of 4. Where tokens or channels end
// before the tile does, it has zeros, so that products need not look at ends.
#pragma once
#include <algorithm>

#include "kernels/cuda/prim/device.cuh"
#include "kernels/ops.h"

namespace sluice {

SLUICE_HD constexpr int in_fours(int64_t count) { return int(count + 3) / 4 * 4; }

// The query of token t of a sequence sees the keys of tokens first_key(t) .. t.
struct CausalMask {
    Global<const int32_t> doc_start;  // (sequences, length), or null: all are one document
    int64_t length, window;           // window 0: no limit

    DEVICE int first_key(int64_t sequence, int t) const {
        const int document = doc_start ? int32_t(doc_start[sequence * length + t]) : 0;
        return window > 0 ? int(std::max<int64_t>(document, t - window + 1)) : document;
    }
};

// Of one sequence and head: rows (length) of dim channels, `stride` elements from token to token.
template <class T>
struct HeadView {
    Global<T> data;
    int64_t stride;
    DEVICE HeadView from(int t) const { return {data + t * stride, stride}; }
};
// A tensor whose rows are tokens, as kernels take it.
template <class T>
struct Tokens {
    Global<T> data;
    int64_t stride;
    DEVICE HeadView<T> head(const AttentionShape& n, int64_t sequence, int64_t head) const {
        return {data + (sequence * n.length * stride + head * n.dim), stride};
    }
};
template <class T>
Tokens<T> tokens_of(Rows<T> x) {
    return {x.data, x.stride};
}

// ---------------------------------------------------------------- tiles
// A matrix in shared memory: element (i, j) is data[index(i, j)].
struct TileView {
    Shared<float> data;
    int row;  // elements from row to row: TilePlan::row_of

    DEVICE int index(int i, int j) const { return i * row + j; }
};

// How many tokens the tiles of a kernel have: as many as fit into a block's shared memory, up to 64.
struct TilePlan {
    int tokens;
    int64_t bytes;

    // For `tiles` tiles (tokens, dim), `squares` tiles (tokens, tokens) and `numbers` more numbers of a token.
    static TilePlan of(int64_t dim, int tiles, int squares, int numbers) {
        constexpr int64_t kShared = (99 << 10) - 128;  // bytes: of sm_86, the least since sm_80, less block_max's
        for (int tokens = 64;; tokens /= 2) {
            const int64_t floats = tokens * (tiles * row_of(dim) + squares * row_of(tokens) + numbers);
            if (floats * 4 <= kShared) return {tokens, floats * 4};
        }
    }
    // Elements from row to row: an odd number of pieces of 4, so that pieces of a column lie in different banks.
    SLUICE_HD static constexpr int row_of(int64_t columns) { return in_fours(columns) / 4 / 2 * 8 + 4; }
};

// Hands out what a TilePlan counted.
class TileMemory {
 public:
    DEVICE TileView tile(int rows, int64_t columns) {
        const int row = TilePlan::row_of(columns);
        return {take<float>(rows * row), row};
    }
    template <class X>
    DEVICE Shared<X> take(int count) {
        at_ += count;
        return dynamic_shared<X>(4 * (at_ - count));
    }

 private:
    int64_t at_ = 0;  // in numbers of 4 bytes
};

// tile = the first rows of x, with zeros up to multiples of 4.
template <int N, class T>
DEVICE void load_pieces(TileView tile, HeadView<const T> x, int rows, int dim) {
    constexpr int kFloats = std::min(N, 4);
    const int line = in_fours(dim) / N;
    for (int piece = thread(); piece < in_fours(rows) * line; piece += block_threads()) {
        const int i = piece / line, j = piece % line * N;
        Vec<T, N> v = {};
        if (i < rows && j < dim) v = load<N>(x.data + (i * x.stride + j));
        for (int e = 0; e < N; e += kFloats) {
            Vec<float, kFloats> floats;
            for (int f = 0; f < kFloats; f++) floats[f] = float(v[e + f]);
            store<kFloats>(tile.data + tile.index(i, j + e), floats);
        }
    }
}
template <class T>
DEVICE void load_tile(TileView tile, HeadView<const T> x, int rows, int64_t dim, bool wide) {
    if (wide)
        load_pieces<16 / int(sizeof(T))>(tile, x, rows, int(dim));
    else
        load_pieces<1>(tile, x, rows, int(dim));
}

// The first rows of x = those of tile, times factor(row).
template <int N, class T, class Factor>
DEVICE void store_pieces(HeadView<T> x, TileView tile, int rows, int dim, Factor factor) {
    const int line = dim / N;
    for (int piece = thread(); piece < rows * line; piece += block_threads()) {
        const int i = piece / line, j = piece % line * N;
        Vec<T, N> v;
        for (int e = 0; e < N; e++) v[e] = T(factor(i) * float(tile.data[tile.index(i, j + e)]));
        store<N>(x.data + (i * x.stride + j), v);
    }
}
template <class T, class Factor>
DEVICE void store_tile(HeadView<T> x, TileView tile, int rows, int64_t dim, bool wide, Factor factor) {
    if (wide)
        store_pieces<16 / int(sizeof(T))>(x, tile, rows, int(dim), factor);
    else
        store_pieces<1>(x, tile, rows, int(dim), factor);
}

DEVICE inline void clear_tile(TileView tile, int rows, int64_t columns) {
    const int line = in_fours(columns);
    for (int at = thread(); at < in_fours(rows) * line; at += block_threads())
        tile.data[tile.index(at / line, at % line)] = 0;
}

// A factor (side, depth) of a product, as a thread reads it: blocks (4, 4) at sides side(at, 0 .. 3) and depths l .. l
// + 3, as 4 accesses. Either a tile (side, depth), whose rows of a block lie `apart`: neighbouring threads have
// neighbouring rows. Or the transpose of a tile (depth, side), whose columns of a block stand side by side.
struct Upright {
    TileView tile;
    int apart;
    DEVICE int side(int at, int r) const { return at + r * apart; }
    DEVICE void read(float (&x)[4][4], int at, int l) const {
        for (int r = 0; r < 4; r++) {
            const Vec<float, 4> v = load<4>(tile.data + tile.index(side(at, r), l));
            for (int e = 0; e < 4; e++) x[r][e] = v[e];
        }
    }
};
struct Turned {
    TileView tile;

    DEVICE int side(int at, int r) const { return at * 4 + r; }
    DEVICE void read(float (&x)[4][4], int at, int l) const {
        for (int e = 0; e < 4; e++) {
            const Vec<float, 4> v = load<4>(tile.data + tile.index(l + e, side(at, 0)));
            for (int r = 0; r < 4; r++) x[r][e] = v[r];
        }
    }
};
DEVICE inline Upright upright(TileView tile, int sides) { return {tile, in_fours(sides) / 4}; }

// put(i, j, the sum over l of a(i, l) b(j, l)) for i < m, j < n, l < depth, sizes in fours. Which elements a thread
// computes depends on m, n and how factors stand: of two products that have these in common, it finds in one what it
// put in the other.
template <class A, class B, class Put>
DEVICE void tile_product(A a, int m, B b, int n, int depth, Put put) {
    const int down = in_fours(m) / 4, across = in_fours(n) / 4;
    for (int at = thread(); at < down * across; at += block_threads()) {
        const int i = at / across, j = at % across;
        float sum[4][4] = {};
        for (int l = 0; l < depth; l += 4) {
            float x[4][4], y[4][4];
            a.read(x, i, l);
            b.read(y, j, l);
            for (int e = 0; e < 4; e++)
                for (int r = 0; r < 4; r++)
                    for (int s = 0; s < 4; s++) sum[r][s] += x[r][e] * y[s][e];
        }
        for (int r = 0; r < 4; r++)
            for (int s = 0; s < 4; s++) put(a.side(i, r), b.side(j, s), sum[r][s]);
    }
}

}  // namespace sluice
