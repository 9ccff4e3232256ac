#include "kernels/cpu/attention/products.h"

#include "kernels/cpu/tile.h"

namespace sluice {

template <class A>
void TileProducts<A>::scores(A* p, HeadView<const A> k, const A* q_transposed) const {
    tile_product<Into::overwrite, A>(p, kTile, {k.data, k.stride, 1, q_transposed, kTile}, keys,
                                     [&](int64_t j, int64_t) {
                                         return StripRange{diagonal ? j : 0, kTile, 0, dim};
                                     });
}

template <class A>
void TileProducts<A>::add_values(A* sum, const A* p, HeadView<const A> v) const {
    tile_product<Into::add, A>(sum, dim, {p, 1, kTile, v.data, v.stride}, queries, [&](int64_t i, int64_t strip) {
        return StripRange{0, dim, 0, diagonal ? std::min(keys, i + strip) : keys};
    });
}

template <class A>
int64_t TileProducts<A>::keys_of(int64_t i, int64_t strip) const {
    return diagonal ? std::min(keys, (i + strip + kVector<A> - 1) / kVector<A> * kVector<A>) : keys;
}

template <class A>
void TileProducts<A>::scores_of_queries(A* p, HeadView<const A> q, const A* k_transposed) const {
    tile_product<Into::overwrite, A>(p, kTile, {q.data, q.stride, 1, k_transposed, kTile}, queries,
                                     [&](int64_t i, int64_t strip) {
                                         return StripRange{0, keys_of(i, strip), 0, dim};
                                     });
}

template <class A>
void TileProducts<A>::to_keys(Into into, HeadView<A> dk, const A* p, HeadView<const A> q) const {
    const auto range = [&](int64_t j, int64_t) { return StripRange{0, dim, diagonal ? j : 0, queries}; };
    const Factors<A> factors{p, 1, kTile, q.data, q.stride};
    if (into == Into::overwrite)
        tile_product<Into::overwrite, A>(dk.data, dk.stride, factors, keys, range);
    else
        tile_product<Into::add, A>(dk.data, dk.stride, factors, keys, range);
}

template <class A>
void TileProducts<A>::to_queries(Into into, HeadView<A> dq, const A* p, HeadView<const A> k) const {
    const auto range = [&](int64_t i, int64_t strip) { return StripRange{0, dim, 0, keys_of(i, strip)}; };
    const Factors<A> factors{p, kTile, 1, k.data, k.stride};
    if (into == Into::overwrite)
        tile_product<Into::overwrite, A>(dq.data, dq.stride, factors, queries, range);
    else
        tile_product<Into::add, A>(dq.data, dq.stride, factors, queries, range);
}

#define INSTANTIATE(B) template struct TileProducts<B::A>;
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
