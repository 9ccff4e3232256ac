// The backward walk of attention, a kv head of one sequence and the query heads that share it at a time: every pair of
// tiles makes its scores again, and adds its part to dq, dk and dv. What turns scores into weights and their gradients
// is the caller's, an object `Rule` of the kv head:
//
//     rule.begin(head, t0, count)        once for each tile of tokens, before any pair of its queries
//     rule.row(p, dp, first, end, h, t)  for query t of the group's head h, and keys first .. end - 1 of a tile:
//                                        p, scores -> weights; dp, gradients of weights -> gradients of q k
//
// Pairs go in rounds, the queries `round` tiles after the keys. Those of one round touch different rows of dq, dk and
// dv, so they may go on any cores, and every sum is in order of rounds. Of four tiles, by their rounds:
//
//                   key tile  0  1  2  3
//     query tile 0            0
//                1            1  0
//                2            2  1  0
//                3            3  2  1  0
//
// Long sequences go in runs of several tiles, and the table is one of runs: a job is a run of keys against a run of
// queries, so that what it touches is used again while it is in the second cache. Within a job pairs go by distance.
// With runs of two tiles, job (round 1, run 0) is keys 0 1 against queries 2 3, as pairs (key, query):
//
//     (1, 2)   (0, 2) (1, 3)   (0, 3)
#pragma once
#include "kernels/cpu/attention/products.h"
#include "kernels/cpu/tile.h"

namespace sluice {

constexpr int64_t kManyHeads = 16;  // that keep all cores busy

template <class A, class Rule>
struct BackwardHead {
    HeadView<const A> q, dout;  // of the group's first query head; the next is `dim` channels further
    HeadView<A> dq;
    int64_t group;  // query heads of this kv head
    HeadView<const A> k, v;
    HeadView<A> dk, dv;
    A *k_transposed, *v_transposed;  // (tiles, dim, kTile); k times scale
    const AttentionShape& n;
    CausalMask mask;
    Rule rule;

    int64_t run_length() const { return std::clamp<int64_t>(tiles(n) / 64, 1, 4); }  // tiles
    int64_t runs() const { return (tiles(n) + run_length() - 1) / run_length(); }

    // Key tiles of `run` against query tiles of run + round. A query tile begins with the keys of its own tokens, and
    // `ahead`, its distance to the key tile, grows from there.
    void job(int64_t round, int64_t run) {
        const int64_t length = run_length(), first = run * length, last = std::min(tiles(n), first + length);
        for (int64_t ahead = std::max<int64_t>(0, (round - 1) * length + 1); ahead < (round + 1) * length; ahead++)
            for (int64_t tile = first; tile < last; tile++)
                if ((tile + ahead) / length == run + round && tile + ahead < tiles(n)) pair(tile, ahead);
    }

 private:
    int64_t rows_at(int64_t tile) const { return std::min(kTile, n.length - tile * kTile); }

    // A key tile and the query tile that is `ahead` tiles after it, for all heads of the group.
    void pair(int64_t key_tile, int64_t ahead) {
        const int64_t k0 = key_tile * kTile, q0 = k0 + ahead * kTile;
        const TileMask tile{mask, q0, rows_at(key_tile + ahead), k0, rows_at(key_tile)};
        if (ahead == 0) begin(k0, tile.keys);
        if (tile.empty()) return;
        A *p = tile_scratch<A>(2 * size_t(kTile * kTile)), *dp = p + kTile * kTile;
        for (int64_t h = 0; h < group; h++) add_head(tile, h, p, dp);
    }

    // A tile of tokens, before its first pair.
    void begin(int64_t k0, int64_t keys) {
        const int64_t D = n.dim;
        tile_transpose(k_transposed + k0 * D, kTile, k.row(k0), k.stride, keys, D, A(n.scale));
        tile_transpose(v_transposed + k0 * D, kTile, v.row(k0), v.stride, keys, D, A(1));
        rule.begin(*this, k0, keys);
    }

    // Query head h of the group: makes p and dp (queries, kTile), and adds to dq, dk, dv what follows from them. The
    // first round overwrites dq, and in it the group's first head overwrites dk and dv.
    void add_head(const TileMask& tile, int64_t h, A* p, A* dp) {
        const auto [mask, q0, rows, k0, keys] = tile;
        const int64_t D = n.dim, channel = h * D;
        const bool diagonal = tile.diagonal(), full = !diagonal && tile.full();
        const TileProducts<A> products{rows, keys, D, diagonal};
        products.scores_of_queries(p, q.from(q0, channel), k_transposed + k0 * D);
        products.scores_of_queries(dp, dout.from(q0, channel), v_transposed + k0 * D);
        for (int64_t i = 0; i < rows; i++) {
            A *row = p + i * kTile, *drow = dp + i * kTile;
            const int64_t from = full ? 0 : tile.first(i), end = full ? keys : tile.end(i);
            for (int64_t j = 0; j < from; j++) row[j] = drow[j] = 0;
            rule.row(row, drow, from, end, h, q0 + i);
            for (int64_t j = end; j < keys; j++) row[j] = drow[j] = 0;
        }
        const Into keys_into = diagonal && h == 0 ? Into::overwrite : Into::add;
        products.to_keys(keys_into, dv.from(k0), p, dout.from(q0, channel));
        products.to_keys(keys_into, dk.from(k0), dp, q.from(q0, channel));
        products.to_queries(diagonal ? Into::overwrite : Into::add, dq.from(q0, channel), dp, k.from(k0));
    }
};

// The gradients of all heads. rule_of(s, h) makes the Rule of the kv head whose first query head is h of sequence s.
template <class A>
struct AttentionGradients {
    Rows<A> dq, dk, dv;
    const A* dout;
    Rows<const A> q, k, v;
    const int32_t* doc_start;
    const AttentionShape& n;

    template <class RuleOf>
    void walk(RuleOf rule_of) {
        const int64_t kv_heads = n.sequences * n.kv_heads;
        const size_t transposed = size_t(2 * tiles(n) * kTile * n.dim);
        // Many heads: one a core. Few: the jobs of a head are shared out, round after round.
        if (kv_heads >= kManyHeads) {
#pragma omp parallel for schedule(dynamic)
            for (int64_t index = 0; index < kv_heads; index++) {
                auto one = head(index, head_scratch<A>(transposed), rule_of);
                for (int64_t round = 0; round < one.runs(); round++)
                    for (int64_t run = 0; run < one.runs() - round; run++) one.job(round, run);
            }
            return;
        }
        A* shared = head_scratch<A>(transposed);
#pragma omp parallel
        for (int64_t index = 0; index < kv_heads; index++) {
            auto one = head(index, shared, rule_of);
            for (int64_t round = 0; round < one.runs(); round++)
#pragma omp for schedule(dynamic)
                for (int64_t run = 0; run < one.runs() - round; run++) one.job(round, run);
        }
    }

 private:
    template <class RuleOf>
    auto head(int64_t index, A* transposed, RuleOf rule_of) {
        const int64_t s = index / n.kv_heads, kv = index % n.kv_heads, group = n.heads / n.kv_heads, h = kv * group;
        auto rule = rule_of(s, h);
        return BackwardHead<A, decltype(rule)>{head_of(q, n, s, h),
                                               head_of(dense(dout, n), n, s, h),
                                               head_of(dq, n, s, h),
                                               group,
                                               head_of(k, n, s, kv),
                                               head_of(v, n, s, kv),
                                               head_of(dk, n, s, kv),
                                               head_of(dv, n, s, kv),
                                               transposed,
                                               transposed + tiles(n) * kTile * n.dim,
                                               n,
                                               mask_of(doc_start, n, s),
                                               rule};
    }
};

}  // namespace sluice
