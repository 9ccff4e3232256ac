// The forward walk of attention: a query tile goes over the key tiles that it sees, and adds weights times values. What
// turns scores into weights is the caller's, an object `Rows` of one query tile:
//
//     rows.add(p, keys)   p (keys, kTile): scores of the next key tile, -inf where masked -> weights
//     Rows::kRescales     whether weights of a later tile may have another scale; then, after add(),
//     rows.rescale[i]     is what the sum of query i is multiplied by, to have it too
//     rows.finish(i, t)   the last factor of the sum of query i of the tile, which is token t
//
// Scores stand as (keys, queries): the queries are transposed once, and what is kept for each query runs along vectors.
#pragma once
#include <limits>

#include "kernels/cpu/attention/products.h"
#include "kernels/cpu/tile.h"

namespace sluice {

// One query head of one sequence, and its kv head.
template <class A>
struct ForwardHead {
    HeadView<A> out;
    HeadView<const A> q, k, v;
    CausalMask mask;
};

// p (keys, kTile) becomes -inf where query i does not see key j. Queries past the end of the sequence see all.
template <class A>
void mask_scores(A* p, const TileMask& mask) {
    int32_t first[kTile] = {}, end[kTile];
    std::fill(end, end + kTile, int32_t(kTile));
    for (int64_t i = 0; i < mask.rows; i++) {
        first[i] = int32_t(mask.first(i));
        end[i] = int32_t(mask.end(i));
    }
    for (int32_t j = 0; j < mask.keys; j++) {
        A* row = p + j * kTile;
#pragma omp simd
        for (int64_t i = 0; i < kTile; i++)
            row[i] = j < first[i] || j >= end[i] ? -std::numeric_limits<A>::infinity() : row[i];
    }
}

// One query tile, from token q0.
template <class A, class Rows>
void forward_tile(const ForwardHead<A>& head, int64_t q0, const AttentionShape& n, Rows rows) {
    const auto& [out, q, k, v, mask] = head;
    const int64_t count = std::min(kTile, n.length - q0), D = n.dim;
    A* p = tile_scratch<A>(size_t(kTile * kTile + 2 * kTile * D));  // (keys, kTile)
    A* q_transposed = p + kTile * kTile;                            // (dim, kTile), times scale
    A* sum = q_transposed + kTile * D;                              // (queries, dim)
    std::fill(sum, sum + count * D, A(0));
    if (count < kTile) std::fill(q_transposed, q_transposed + kTile * D, A(0));
    tile_transpose(q_transposed, kTile, q.row(q0), q.stride, count, D, A(n.scale));
    for (int64_t k0 = mask.first_key(q0, count) / kTile * kTile; k0 < q0 + count; k0 += kTile) {
        const int64_t keys = std::min(kTile, q0 + count - k0);
        const TileMask tile{mask, q0, count, k0, keys};
        const TileProducts<A> products{count, keys, D, tile.diagonal()};
        products.scores(p, k.from(k0), q_transposed);
        if (!tile.full()) mask_scores(p, tile);
        rows.add(p, keys);
        if constexpr (Rows::kRescales)
            for (int64_t i = 0; i < count; i++) {
                const A rescale = rows.rescale[i];
#pragma omp simd
                for (int64_t d = 0; d < D; d++) sum[i * D + d] *= rescale;
            }
        products.add_values(sum, p, v.from(k0));
    }
    for (int64_t i = 0; i < count; i++) {
        const A scale = rows.finish(i, q0 + i);
        for (int64_t d = 0; d < D; d++) out.row(q0 + i)[d] = sum[i * D + d] * scale;
    }
}

// All query tiles of all heads, the longest walks of a head first. rows_of(s, h) makes the Rows of a tile of query head
// h of sequence s.
template <class A, class RowsOf>
void attention_forward_walk(A* out, Rows<const A> q, Rows<const A> k, Rows<const A> v, const int32_t* doc_start,
                            const AttentionShape& n, RowsOf rows_of) {
    const int64_t per_head = tiles(n), group = n.heads / n.kv_heads;
#pragma omp parallel for schedule(dynamic)
    for (int64_t job = 0; job < n.sequences * n.heads * per_head; job++) {
        const int64_t s = job / (n.heads * per_head), h = job / per_head % n.heads;
        const int64_t tile = per_head - 1 - job % per_head;
        const ForwardHead<A> head{head_of(dense(out, n), n, s, h), head_of(q, n, s, h), head_of(k, n, s, h / group),
                                  head_of(v, n, s, h / group), mask_of(doc_start, n, s)};
        forward_tile<A>(head, tile * kTile, n, rows_of(s, h));
    }
}

}  // namespace sluice
