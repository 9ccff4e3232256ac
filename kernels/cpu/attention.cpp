// Causal attention in blocks (FlashAttention, arXiv 2205.14135 and 2307.08691): a block of queries walks over the
// blocks of keys that it sees, with a running maximum and sum; backward makes the probabilities again from the
// log-sum-exp. Scratch is a few blocks a thread, in backward also keys and values transposed. No sum depends on
// threads.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/simd_math.h"
#include "kernels/cpu/tile.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kManyHeads = 16;  // that keep all cores busy

// The range of tokens that token t sees is [begin(t), t].
struct Sight {
    const int32_t* first;  // of this sequence, or null
    int64_t window;
    int64_t begin(int64_t t) const {
        const int64_t document = first ? first[t] : 0;
        return window > 0 ? std::max(document, t - window + 1) : document;
    }
    // The smallest over a block's rows: `begin` need not grow with t where first is arbitrary.
    int64_t begin(int64_t t, int64_t rows) const {
        if (!first) return begin(t);
        int64_t least = begin(t);
        for (int64_t i = 1; i < rows; i++) least = std::min(least, begin(t + i));
        return least;
    }
};

// One sequence and head as strided views.
template <class A>
struct HeadView {
    A* data;
    int64_t stride;  // between tokens
    A* row(int64_t t) const { return data + t * stride; }
};

// This thread's scratch, grown once.
template <class A>
A* grown(std::vector<A>& memory, size_t count) {
    if (memory.size() < count) memory.resize(count);
    return memory.data();
}
template <class A>
A* scratch(size_t count) {
    thread_local std::vector<A> memory;
    return grown(memory, count);
}
template <class A>
A* transposed_keys(size_t count) {
    thread_local std::vector<A> memory;
    return grown(memory, count);
}

// Which of the keys k0.. the queries q0.. see.
struct Seen {
    const Sight& sight;
    int64_t q0, rows, k0, keys;

    bool none() const { return sight.begin(q0, rows) >= k0 + keys; }
    bool all() const {
        if (k0 + keys > q0 + 1) return false;
        for (int64_t i = 0; i < rows; i++)
            if (sight.begin(q0 + i) > k0) return false;
        return true;
    }
    int64_t low(int64_t i) const { return std::clamp<int64_t>(sight.begin(q0 + i) - k0, 0, keys); }
    int64_t high(int64_t i) const { return std::clamp<int64_t>(q0 + i + 1 - k0, 0, keys); }
    bool diagonal() const { return q0 == k0; }  // where key j is seen by queries j.. only
};

// ---------------------------------------------------------------- forward
// The scores (keys, queries) that are not seen become -inf, those of absent queries apart.
template <class A>
void hide(A* p, const Seen& seen) {
    int32_t low[kBlock] = {}, high[kBlock];
    std::fill(high, high + kBlock, int32_t(kBlock));
    for (int64_t i = 0; i < seen.rows; i++) {
        low[i] = int32_t(seen.low(i));
        high[i] = int32_t(seen.high(i));
    }
    for (int32_t j = 0; j < seen.keys; j++) {
        A* row = p + j * kBlock;
#pragma omp simd
        for (int64_t i = 0; i < kBlock; i++)
            row[i] = j < low[i] || j >= high[i] ? -std::numeric_limits<A>::infinity() : row[i];
    }
}

// Scores stand as (keys, queries): the queries are transposed once, and maxima and sums go along with them in vectors.
template <class A>
void forward_block(const HeadView<A>& out, A* lse, const HeadView<const A>& q, const HeadView<const A>& k,
                   const HeadView<const A>& v, int64_t q0, const AttentionShape& n, const Sight& sight) {
    constexpr A kNone = -std::numeric_limits<A>::infinity();
    const int64_t rows = std::min(kBlock, n.length - q0), D = n.dim;
    A* p = scratch<A>(size_t(kBlock * kBlock + 2 * kBlock * D));
    A *q_transposed = p + kBlock * kBlock, *sum = q_transposed + kBlock * D;
    A largest[kBlock], total[kBlock], base[kBlock], shrink[kBlock];
    std::fill(largest, largest + kBlock, kNone);
    std::fill(total, total + kBlock, A(0));
    std::fill(sum, sum + rows * D, A(0));
    if (rows < kBlock) std::fill(q_transposed, q_transposed + kBlock * D, A(0));
    tile_transpose(q_transposed, kBlock, q.row(q0), q.stride, rows, D, A(n.scale));
    for (int64_t k0 = sight.begin(q0, rows) / kBlock * kBlock; k0 < q0 + rows; k0 += kBlock) {
        const int64_t keys = std::min(kBlock, q0 + rows - k0);
        const Seen seen{sight, q0, rows, k0, keys};
        const bool diagonal = seen.diagonal();
        tile_product<Into::overwrite, A>(p, kBlock, {k.row(k0), k.stride, 1, q_transposed, kBlock}, keys,
                                         [&](int64_t j, int64_t) {
                                             return StripRange{diagonal ? j : 0, kBlock, 0, D};
                                         });
        if (!seen.all()) hide(p, seen);
        std::copy(largest, largest + kBlock, base);
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kBlock; i++) base[i] = p[j * kBlock + i] > base[i] ? p[j * kBlock + i] : base[i];
#pragma omp simd
        for (int64_t i = 0; i < kBlock; i++) {
            const A peak = base[i];
            base[i] = peak == kNone ? A(0) : peak;  // nothing seen yet
            shrink[i] = softmax_exp(largest[i] - base[i]);
            total[i] *= shrink[i];
            largest[i] = peak;
        }
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kBlock; i++) {
                const A e = softmax_exp(p[j * kBlock + i] - base[i]);
                p[j * kBlock + i] = e;
                total[i] += e;
            }
        for (int64_t i = 0; i < rows; i++)
#pragma omp simd
            for (int64_t d = 0; d < D; d++) sum[i * D + d] *= shrink[i];
        tile_product<Into::add, A>(sum, D, {p, 1, kBlock, v.row(k0), v.stride}, rows, [&](int64_t i, int64_t strip) {
            return StripRange{0, D, 0, diagonal ? std::min(keys, i + strip) : keys};
        });
    }
    for (int64_t i = 0; i < rows; i++) {
        lse[q0 + i] = largest[i] + std::log(total[i]);
        const A scale = A(1) / total[i];
        for (int64_t d = 0; d < D; d++) out.row(q0 + i)[d] = sum[i * D + d] * scale;
    }
}

// ---------------------------------------------------------------- backward
// A key-value head of one sequence, and the query heads that share it. Pairs of a block of queries and a block of keys
// go in rounds, the queries `round` blocks after the keys: those of one round touch different rows of dq, dk and dv,
// so they may go on any cores, and every sum is in order of rounds.
template <class A>
struct BackwardHead {
    // Of each query head.
    HeadView<const A> q, dout, out;
    HeadView<A> dq;
    const A* lse;
    A* delta;
    int64_t heads;  // from one to the next: `dim` channels, and `length` in lse and delta
    HeadView<const A> k, v;
    HeadView<A> dk, dv;
    A *k_transposed, *v_transposed;  // (blocks, dim, kBlock)
    const AttentionShape& n;
    Sight sight;

    int64_t blocks() const { return (n.length + kBlock - 1) / kBlock; }
    // Long sequences go in runs of blocks, so that what a job touches is used again while it is in the second cache.
    int64_t run_length() const { return std::clamp<int64_t>(blocks() / 64, 1, 4); }
    int64_t runs() const { return (blocks() + run_length() - 1) / run_length(); }

    // A run of blocks of keys against the run of queries that is `round` runs after it. Nearest pairs first: a block of
    // queries begins with the keys of its own tokens.
    void job(int64_t round, int64_t run) const {
        const int64_t length = run_length(), first = run * length, last = std::min(blocks(), first + length);
        for (int64_t ahead = std::max<int64_t>(0, (round - 1) * length + 1); ahead < (round + 1) * length; ahead++)
            for (int64_t block = first; block < last; block++)
                if ((block + ahead) / length == run + round && block + ahead < blocks()) pair(block, ahead);
    }

 private:
    int64_t rows_at(int64_t block) const { return std::min(kBlock, n.length - block * kBlock); }

    void pair(int64_t key_block, int64_t ahead) const {
        const int64_t k0 = key_block * kBlock, q0 = k0 + ahead * kBlock, D = n.dim;
        const Seen seen{sight, q0, rows_at(key_block + ahead), k0, rows_at(key_block)};
        if (ahead == 0) begin(k0, seen.keys);
        if (seen.none()) return;
        A *p = scratch<A>(2 * size_t(kBlock * kBlock)), *dp = p + kBlock * kBlock;
        for (int64_t h = 0; h < heads; h++) {
            if (ahead == 0)
                add_head<true>(seen, h * D, h * n.length, p, dp, h == 0);
            else
                add_head<false>(seen, h * D, h * n.length, p, dp, false);
        }
    }

    void begin(int64_t k0, int64_t keys) const {
        const int64_t D = n.dim;
        tile_transpose(k_transposed + k0 * D, kBlock, k.row(k0), k.stride, keys, D, A(n.scale));
        tile_transpose(v_transposed + k0 * D, kBlock, v.row(k0), v.stride, keys, D, A(1));
        for (int64_t h = 0; h < heads; h++)
            for (int64_t t = k0; t < k0 + keys; t++) {
                const A *d = dout.row(t) + h * D, *o = out.row(t) + h * D;
                A sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < D; i++) sum += d[i] * o[i];
                delta[h * n.length + t] = sum;
            }
    }

    // One head at channel `at` and row `token`. The first round makes dq, and its first head dk and dv.
    template <bool diagonal>
    void add_head(const Seen& seen, int64_t at, int64_t token, A* p, A* dp, bool first) const {
        const auto [sight, q0, rows, k0, keys] = seen;
        const int64_t D = n.dim;
        const auto below = [keys = keys](int64_t i, int64_t strip) {
            return diagonal ? std::min(keys, (i + strip + kVector<A> - 1) / kVector<A> * kVector<A>) : keys;
        };
        const auto scores = [&, D](int64_t i, int64_t strip) { return StripRange{0, below(i, strip), 0, D}; };
        tile_product<Into::overwrite, A>(p, kBlock, {q.row(q0) + at, q.stride, 1, k_transposed + k0 * D, kBlock}, rows,
                                         scores);
        tile_product<Into::overwrite, A>(dp, kBlock, {dout.row(q0) + at, dout.stride, 1, v_transposed + k0 * D, kBlock},
                                         rows, scores);
        const bool all = !diagonal && seen.all();
        for (int64_t i = 0; i < rows; i++) {
            A *row = p + i * kBlock, *drow = dp + i * kBlock;
            const A log_sum = lse[token + q0 + i], mean = delta[token + q0 + i];
            const int64_t low = all ? 0 : seen.low(i), high = all ? keys : seen.high(i);
            for (int64_t j = 0; j < low; j++) row[j] = drow[j] = 0;
#pragma omp simd
            for (int64_t j = low; j < high; j++) {
                row[j] = softmax_exp(row[j] - log_sum);
                drow[j] = row[j] * (drow[j] - mean) * A(n.scale);
            }
            for (int64_t j = high; j < keys; j++) row[j] = drow[j] = 0;
        }
        const auto keys_sum = [&, rows = rows, D](int64_t j, int64_t) {
            return StripRange{0, D, diagonal ? j : 0, rows};
        };
        const Factors<A> to_dv{p, 1, kBlock, dout.row(q0) + at, dout.stride},
            to_dk{dp, 1, kBlock, q.row(q0) + at, q.stride};
        if (first) {
            tile_product<Into::overwrite, A>(dv.row(k0), dv.stride, to_dv, keys, keys_sum);
            tile_product<Into::overwrite, A>(dk.row(k0), dk.stride, to_dk, keys, keys_sum);
        } else {
            tile_product<Into::add, A>(dv.row(k0), dv.stride, to_dv, keys, keys_sum);
            tile_product<Into::add, A>(dk.row(k0), dk.stride, to_dk, keys, keys_sum);
        }
        tile_product<diagonal ? Into::overwrite : Into::add, A>(
            dq.row(q0) + at, dq.stride, {dp, kBlock, 1, k.row(k0), k.stride}, rows, [&, D](int64_t i, int64_t strip) {
                return StripRange{0, D, 0, below(i, strip)};
            });
    }
};

// Of `count` products of queries and keys, at half the square, or a window's part of it.
Work products(const AttentionShape& n, int count) {
    const double T = double(n.length), w = n.window > 0 ? std::min(double(n.window), T) : T;
    return {{n.sequences * n.length, n.heads * n.dim, 0},
            2.0 * count * double(n.sequences * n.heads * n.dim) * (w * T - w * w / 2),
            0};
}

}  // namespace

template <class B>
void attention_forward(Stream, typename B::T* out, typename B::A* lse, const typename B::T* q, const typename B::T* k,
                       const typename B::T* v, const int32_t* first, const AttentionShape& n) {
    const Timed timed(__func__, products(n, 2));
    using A = typename B::A;
    const int64_t blocks = (n.length + kBlock - 1) / kBlock, group = n.heads / n.kv_heads;
    const int64_t q_stride = n.heads * n.dim, k_stride = n.kv_heads * n.dim;
#pragma omp parallel for schedule(dynamic)
    for (int64_t job = 0; job < n.sequences * n.heads * blocks; job++) {
        const int64_t s = job / (n.heads * blocks), h = job / blocks % n.heads, block = blocks - 1 - job % blocks;
        const int64_t token = s * n.length, at = token * q_stride + h * n.dim;
        const int64_t at_kv = token * k_stride + h / group * n.dim;
        forward_block<A>({out + at, q_stride}, lse + (s * n.heads + h) * n.length, {q + at, q_stride},
                         {k + at_kv, k_stride}, {v + at_kv, k_stride}, block * kBlock, n,
                         {first ? first + token : nullptr, n.window});
    }
}

template <class B>
void attention_backward(Stream, typename B::T* dq, typename B::T* dk, typename B::T* dv, typename B::A* delta,
                        const typename B::T* dout, const typename B::T* out, const typename B::A* lse,
                        const typename B::T* q, const typename B::T* k, const typename B::T* v, const int32_t* first,
                        const AttentionShape& n) {
    const Timed timed(__func__, products(n, 4));
    using A = typename B::A;
    const int64_t group = n.heads / n.kv_heads, q_stride = n.heads * n.dim, k_stride = n.kv_heads * n.dim;
    const int64_t blocks = (n.length + kBlock - 1) / kBlock, all_heads = n.sequences * n.kv_heads;
    const auto head = [&](int64_t index, A* transposed) {
        const int64_t s = index / n.kv_heads, kv = index % n.kv_heads, token = s * n.length;
        const int64_t at = token * q_stride + kv * group * n.dim, at_kv = token * k_stride + kv * n.dim;
        const int64_t row = (s * n.heads + kv * group) * n.length;
        return BackwardHead<A>{{q + at, q_stride},
                               {dout + at, q_stride},
                               {out + at, q_stride},
                               {dq + at, q_stride},
                               lse + row,
                               delta + row,
                               group,
                               {k + at_kv, k_stride},
                               {v + at_kv, k_stride},
                               {dk + at_kv, k_stride},
                               {dv + at_kv, k_stride},
                               transposed,
                               transposed + blocks * kBlock * n.dim,
                               n,
                               {first ? first + token : nullptr, n.window}};
    };
    const size_t room = size_t(2 * blocks * kBlock * n.dim);
    // Many heads: one a core. Few: a head's blocks are shared out, round after round.
    if (all_heads >= kManyHeads) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t index = 0; index < all_heads; index++) {
            const BackwardHead<A> one = head(index, transposed_keys<A>(room));
            for (int64_t round = 0; round < one.runs(); round++)
                for (int64_t run = 0; run < one.runs() - round; run++) one.job(round, run);
        }
        return;
    }
    A* shared = transposed_keys<A>(room);
#pragma omp parallel
    for (int64_t index = 0; index < all_heads; index++) {
        const BackwardHead<A> one = head(index, shared);
        for (int64_t round = 0; round < one.runs(); round++)
#pragma omp for schedule(dynamic)
            for (int64_t run = 0; run < one.runs() - round; run++) one.job(round, run);
    }
}

#define INSTANTIATE(B)                                                                                              \
    template void attention_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::T*, const B::T*, const int32_t*, \
                                       const AttentionShape&);                                                      \
    template void attention_backward<B>(Stream, B::T*, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::A*,  \
                                        const B::T*, const B::T*, const B::T*, const int32_t*, const AttentionShape&);
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
