// Softmax attention in tiles (FlashAttention, arXiv 2205.14135 and 2307.08691): forward keeps a running maximum and sum
// of each query's weights; backward makes the weights again from the log-sum-exp. Scratch is a few tiles a thread, in
// backward also keys and values transposed. No sum depends on threads.
#include <cmath>

#include "kernels/attention_math.h"
#include "kernels/cpu/attention/backward.h"
#include "kernels/cpu/attention/forward.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/probes.h"

namespace sluice {
namespace {

// The online softmax of a query tile. Each query's weights are exp(score - row_max) of the keys so far; where a later
// tile raises row_max, what was summed shrinks by `rescale`. What is left of a row is its log-sum-exp, or row_max.
enum class Leaves { lse, row_max };
template <class A, Leaves leaves = Leaves::lse>
struct SoftmaxRows {
    static constexpr bool kRescales = true;
    static constexpr A kNone = -std::numeric_limits<A>::infinity();

    A* left;  // (length) of this head
    A row_max[kTile], row_sum[kTile], rescale[kTile];

    explicit SoftmaxRows(A* left_) : left(left_) {
        std::fill(row_max, row_max + kTile, kNone);
        std::fill(row_sum, row_sum + kTile, A(0));
    }

    void add(A* p, int64_t keys) {
        A base[kTile];  // what is subtracted from scores: the new row_max, or 0 where a query has seen no key yet
        A sum[kTile];   // local, so that the compiler keeps it in registers
        std::copy(row_max, row_max + kTile, base);
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kTile; i++) base[i] = p[j * kTile + i] > base[i] ? p[j * kTile + i] : base[i];
#pragma omp simd
        for (int64_t i = 0; i < kTile; i++) {
            const A peak = base[i];
            base[i] = peak == kNone ? A(0) : peak;
            rescale[i] = softmax_exp(row_max[i] - base[i]);
            sum[i] = row_sum[i] * rescale[i];
            row_max[i] = peak;
        }
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kTile; i++) {
                const A e = softmax_exp(p[j * kTile + i] - base[i]);
                p[j * kTile + i] = e;
                sum[i] += e;
            }
        std::copy(sum, sum + kTile, row_sum);
    }

    A finish(int64_t i, int64_t t) {
        left[t] = leaves == Leaves::lse ? row_max[i] + std::log(row_sum[i]) : row_max[i];
        return A(1) / row_sum[i];
    }
};

// Weights are p = exp(score - lse). The gradient of a score is p (dp - delta), with delta = the sum over keys of p dp,
// which is the dot product of dout and out.
template <class A>
struct SoftmaxGradient {
    HeadView<const A> out;  // of the group's first query head
    const A* lse;           // (group, length)
    A* delta;               // (group, length)
    int64_t length;
    A scale;

    template <class Head>
    void begin(const Head& head, int64_t t0, int64_t count) {
        const int64_t D = head.n.dim;
        for (int64_t h = 0; h < head.group; h++)
            for (int64_t t = t0; t < t0 + count; t++) {
                const A *d = head.dout.row(t) + h * D, *o = out.row(t) + h * D;
                A sum = 0;
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < D; i++) sum += d[i] * o[i];
                delta[h * length + t] = sum;
            }
    }

    void row(A* p, A* dp, int64_t first, int64_t end, int64_t h, int64_t t) const {
        const A log_sum = lse[h * length + t], mean = delta[h * length + t];
#pragma omp simd
        for (int64_t j = first; j < end; j++) {
            p[j] = softmax_exp(p[j] - log_sum);
            dp[j] = softmax_slope(p[j], dp[j], mean) * scale;
        }
    }
};

}  // namespace

template <class B>
void attention_forward(Stream, typename B::T* out, typename B::A* lse, Rows<const typename B::T> q,
                       Rows<const typename B::T> k, Rows<const typename B::T> v, const int32_t* doc_start,
                       const AttentionShape& n) {
    const Timed timed(__func__, attention_work(n, 2));
    using A = typename B::A;
    attention_forward_walk<A>(out, q, k, v, doc_start, n,
                              [&](int64_t s, int64_t h) { return SoftmaxRows<A>(lse + (s * n.heads + h) * n.length); });
}

template <class B>
void attention_mean_keys(Stream, typename B::T* mean_k, typename B::A* largest, Rows<const typename B::T> q,
                         Rows<const typename B::T> k, const int32_t* doc_start, const AttentionShape& n) {
    const Timed timed(__func__, attention_work(n, 2));
    using A = typename B::A;
    attention_forward_walk<A>(mean_k, q, k, k, doc_start, n, [&](int64_t s, int64_t h) {
        return SoftmaxRows<A, Leaves::row_max>(largest + (s * n.heads + h) * n.length);
    });
}

template <class B>
void attention_backward(Stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                        typename B::A* delta, std::byte* /*workspace*/, const typename B::T* dout,
                        const typename B::T* out, const typename B::A* lse, Rows<const typename B::T> q,
                        Rows<const typename B::T> k, Rows<const typename B::T> v, const int32_t* doc_start,
                        const AttentionShape& n) {
    const Timed timed(__func__, attention_work(n, 4));
    using A = typename B::A;
    AttentionGradients<A>{dq, dk, dv, dout, q, k, v, doc_start, n}.walk([&](int64_t s, int64_t h) {
        const int64_t row = (s * n.heads + h) * n.length;
        return SoftmaxGradient<A>{head_of(dense(out, n), n, s, h), lse + row, delta + row, n.length, A(n.scale)};
    });
}

template <class B>
std::string prepare_attention(Stream, const AttentionShape&, const AttentionStrides&) {
    return "";
}

#define INSTANTIATE(B)                                                                                              \
    template void attention_forward<B>(Stream, B::T*, B::A*, Rows<const B::T>, Rows<const B::T>, Rows<const B::T>,  \
                                       const int32_t*, const AttentionShape&);                                      \
    template void attention_mean_keys<B>(Stream, B::T*, B::A*, Rows<const B::T>, Rows<const B::T>, const int32_t*,  \
                                         const AttentionShape&);                                                    \
    template void attention_backward<B>(Stream, Rows<B::T>, Rows<B::T>, Rows<B::T>, B::A*, std::byte*, const B::T*, \
                                        const B::T*, const B::A*, Rows<const B::T>, Rows<const B::T>,               \
                                        Rows<const B::T>, const int32_t*, const AttentionShape&);                   \
    template std::string prepare_attention<B>(Stream, const AttentionShape&, const AttentionStrides&);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
