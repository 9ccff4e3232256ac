// The products of a query tile and a key tile of one head. They are compiled once for all kinds of attention.
#pragma once
#include "kernels/cpu/attention/tiles.h"

namespace sluice {

// On the diagonal both tiles begin at the same token, so query i needs the keys 0 .. i only, and key j the queries j ..
template <class A>
struct TileProducts {
    int64_t queries, keys, dim;
    bool diagonal;

    // Forward, p (keys, kTile) and q_transposed (dim, kTile): p = k q^T, and sum (queries, dim) += p^T v.
    void scores(A* p, HeadView<const A> k, const A* q_transposed) const;
    void add_values(A* sum, const A* p, HeadView<const A> v) const;

    // Backward, p (queries, kTile) and k_transposed (dim, kTile): p = q k^T, then dk = or += p^T q, dq = or += p k. The
    // same three serve dp = dout v^T and dv = p^T dout.
    void scores_of_queries(A* p, HeadView<const A> q, const A* k_transposed) const;
    void to_keys(Into into, HeadView<A> dk, const A* p, HeadView<const A> q) const;
    void to_queries(Into into, HeadView<A> dq, const A* p, HeadView<const A> k) const;

 private:
    // How many keys the queries i .. i + strip - 1 need, in whole vectors.
    int64_t keys_of(int64_t i, int64_t strip) const;
};

}  // namespace sluice
