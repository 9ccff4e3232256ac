// Causal attention in blocks (FlashAttention, arXiv 2205.14135 and 2307.08691): a block of queries walks over the
// blocks of keys that it sees, with a running maximum and sum; backward makes the probabilities again from the
// log-sum-exp. Scratch is a few blocks a thread. Forward shares out (sequence, head, query block); backward (sequence,
// kv head), whose query heads go in order: no sum depends on threads.
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
A* scratch(size_t count) {
    thread_local std::vector<A> memory;
    if (memory.size() < count) memory.resize(count);
    return memory.data();
}

// transposed (dim, kBlock) = rows (count, dim) times scale, zero beyond count.
template <class A>
void transpose(A* transposed, const HeadView<const A>& x, int64_t t, int64_t count, int64_t dim, A scale) {
    if (count < kBlock) std::fill(transposed, transposed + dim * kBlock, A(0));
    for (int64_t j = 0; j < count; j++)
        for (int64_t d = 0; d < dim; d++) transposed[d * kBlock + j] = x.row(t + j)[d] * scale;
}

// Whether queries q0.. see all keys k0.., and which each sees otherwise.
struct Seen {
    const Sight& sight;
    int64_t q0, rows, k0, keys;

    bool all() const {
        if (k0 + keys > q0 + 1) return false;
        for (int64_t i = 0; i < rows; i++)
            if (sight.begin(q0 + i) > k0) return false;
        return true;
    }
    int64_t low(int64_t i) const { return std::clamp<int64_t>(sight.begin(q0 + i) - k0, 0, keys); }
    int64_t high(int64_t i) const { return std::clamp<int64_t>(q0 + i + 1 - k0, 0, keys); }
};

// ---------------------------------------------------------------- forward
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
    transpose(q_transposed, q, q0, rows, D, A(n.scale));
    for (int64_t k0 = sight.begin(q0, rows) / kBlock * kBlock; k0 < q0 + rows; k0 += kBlock) {
        const int64_t keys = std::min(kBlock, q0 + rows - k0);
        std::fill(p, p + keys * kBlock, A(0));
        tile_product(p, kBlock, k.row(k0), k.stride, int64_t{1}, q_transposed, kBlock, keys, kBlock, D);
        if (const Seen seen{sight, q0, rows, k0, keys}; !seen.all())
            for (int64_t i = 0; i < rows; i++) {
                for (int64_t j = 0; j < seen.low(i); j++) p[j * kBlock + i] = kNone;
                for (int64_t j = seen.high(i); j < keys; j++) p[j * kBlock + i] = kNone;
            }
        for (int64_t i = 0; i < kBlock; i++) base[i] = largest[i];
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kBlock; i++) base[i] = p[j * kBlock + i] > base[i] ? p[j * kBlock + i] : base[i];
        for (int64_t i = 0; i < kBlock; i++) {
            const A peak = base[i];
            base[i] = peak == kNone ? A(0) : peak;  // nothing seen yet
            shrink[i] = fast_exp(largest[i] - base[i]);
            total[i] *= shrink[i];
            largest[i] = peak;
        }
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kBlock; i++) {
                const A e = fast_exp(p[j * kBlock + i] - base[i]);
                p[j * kBlock + i] = e;
                total[i] += e;
            }
        for (int64_t i = 0; i < rows; i++)
#pragma omp simd
            for (int64_t d = 0; d < D; d++) sum[i * D + d] *= shrink[i];
        tile_product(sum, D, p, int64_t{1}, kBlock, v.row(k0), v.stride, rows, D, keys);
    }
    for (int64_t i = 0; i < rows; i++) {
        lse[q0 + i] = largest[i] + std::log(total[i]);
        const A scale = A(1) / total[i];
        for (int64_t d = 0; d < D; d++) out.row(q0 + i)[d] = sum[i * D + d] * scale;
    }
}

// ---------------------------------------------------------------- backward
// One query head against one block of keys: adds to dk and dv of the block (kBlock, dim each) and to dq.
template <class A>
struct BackwardBlock {
    HeadView<const A> q, k, v, dout;
    HeadView<A> dq;
    const A *lse, *delta;
    const AttentionShape& n;
    const Sight& sight;

    void run(A* dk, A* dv, const A* k_transposed, const A* v_transposed, A* p, A* dp, int64_t k0, int64_t keys,
             int64_t q0) const {
        const int64_t rows = std::min(kBlock, n.length - q0), D = n.dim;
        if (sight.begin(q0, rows) >= k0 + keys) return;
        const Seen seen{sight, q0, rows, k0, keys};
        std::fill(p, p + rows * kBlock, A(0));
        std::fill(dp, dp + rows * kBlock, A(0));
        tile_product(p, kBlock, q.row(q0), q.stride, int64_t{1}, k_transposed, kBlock, rows, keys, D);
        tile_product(dp, kBlock, dout.row(q0), dout.stride, int64_t{1}, v_transposed, kBlock, rows, keys, D);
        const bool all = seen.all();
        for (int64_t i = 0; i < rows; i++) {
            A *row = p + i * kBlock, *drow = dp + i * kBlock;
            const A log_sum = lse[q0 + i], mean = delta[q0 + i];
            if (!all) {
                std::fill(row, row + seen.low(i), -std::numeric_limits<A>::infinity());
                std::fill(row + seen.high(i), row + keys, -std::numeric_limits<A>::infinity());
            }
#pragma omp simd
            for (int64_t j = 0; j < keys; j++) {
                row[j] = fast_exp(row[j] - log_sum);
                drow[j] = row[j] * (drow[j] - mean) * A(n.scale);
            }
        }
        tile_product(dv, D, p, int64_t{1}, kBlock, dout.row(q0), dout.stride, keys, D, rows);
        tile_product(dk, D, dp, int64_t{1}, kBlock, q.row(q0), q.stride, keys, D, rows);
        tile_product(dq.row(q0), dq.stride, dp, kBlock, int64_t{1}, k.row(k0), k.stride, rows, D, keys);
    }
};

}  // namespace

template <class B>
void attention_forward(Stream, typename B::T* out, typename B::A* lse, const typename B::T* q, const typename B::T* k,
                       const typename B::T* v, const int32_t* first, const AttentionShape& n) {
    const Timed timed(__func__);
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
    const Timed timed(__func__);
    using A = typename B::A;
    const int64_t group = n.heads / n.kv_heads, q_stride = n.heads * n.dim, k_stride = n.kv_heads * n.dim, D = n.dim;
#pragma omp parallel for schedule(dynamic)
    for (int64_t job = 0; job < n.sequences * n.kv_heads; job++) {
        const int64_t s = job / n.kv_heads, kv = job % n.kv_heads, token = s * n.length;
        const int64_t at_kv = token * k_stride + kv * D;
        const Sight sight{first ? first + token : nullptr, n.window};
        for (int64_t h = kv * group; h < (kv + 1) * group; h++)
            for (int64_t t = 0; t < n.length; t++) {
                const int64_t at = (token + t) * q_stride + h * D;
                A sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t d = 0; d < D; d++) sum += A(dout[at + d]) * A(out[at + d]);
                delta[(s * n.heads + h) * n.length + t] = sum;
                std::fill(dq + at, dq + at + D, A(0));
            }
        A* p = scratch<A>(size_t(2 * kBlock * kBlock + 4 * kBlock * D));
        A *dp = p + kBlock * kBlock, *k_transposed = dp + kBlock * kBlock, *v_transposed = k_transposed + kBlock * D;
        A *dk_block = v_transposed + kBlock * D, *dv_block = dk_block + kBlock * D;
        const HeadView<const A> keys_view{k + at_kv, k_stride}, values{v + at_kv, k_stride};
        for (int64_t k0 = 0; k0 < n.length; k0 += kBlock) {
            const int64_t keys = std::min(kBlock, n.length - k0);
            transpose(k_transposed, keys_view, k0, keys, D, A(n.scale));
            transpose(v_transposed, values, k0, keys, D, A(1));
            std::fill(dk_block, dk_block + 2 * kBlock * D, A(0));
            for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
                const int64_t at = token * q_stride + h * D, row = (s * n.heads + h) * n.length;
                const BackwardBlock<A> block{
                    {q + at, q_stride}, keys_view, values, {dout + at, q_stride}, {dq + at, q_stride}, lse + row,
                    delta + row,        n,         sight};
                for (int64_t q0 = k0; q0 < n.length; q0 += kBlock)
                    block.run(dk_block, dv_block, k_transposed, v_transposed, p, dp, k0, keys, q0);
            }
            for (int64_t j = 0; j < keys; j++)
                for (int64_t d = 0; d < D; d++) {
                    dk[at_kv + (k0 + j) * k_stride + d] = dk_block[j * D + d];
                    dv[at_kv + (k0 + j) * k_stride + d] = dv_block[j * D + d];
                }
        }
    }
}

#define INSTANTIATE(B)                                                                                              \
    template void attention_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::T*, const B::T*, const int32_t*, \
                                       const AttentionShape&);                                                      \
    template void attention_backward<B>(Stream, B::T*, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::A*,  \
                                        const B::T*, const B::T*, const B::T*, const int32_t*, const AttentionShape&);
INSTANTIATE(Cpu<float>)
INSTANTIATE(Cpu<double>)

}  // namespace sluice
