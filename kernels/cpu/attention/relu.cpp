// ReLU attention (ReLA, arXiv 2104.07012): weights are relu(score) as they are, so no running maximum, sum or
// log-sum-exp is kept, and backward needs nothing of forward but its inputs. Tiles and their order are softmax's.
#include "kernels/attention_math.h"
#include "kernels/cpu/attention/backward.h"
#include "kernels/cpu/attention/forward.h"

namespace sluice {
namespace {

template <class A>
struct ReluRows {
    static constexpr bool kRescales = false;

    void add(A* p, int64_t keys) {
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < kTile; i++) p[j * kTile + i] = relu_weight(p[j * kTile + i]);
    }
    A finish(int64_t, int64_t) const { return A(1); }
};

template <class A>
struct ReluGradient {
    A scale;

    template <class Head>
    void begin(const Head&, int64_t, int64_t) const {}

    void row(A* p, A* dp, int64_t first, int64_t end, int64_t, int64_t) const {
#pragma omp simd
        for (int64_t j = first; j < end; j++) {
            const A score = p[j], slope = dp[j] * scale;
            p[j] = relu_weight(score);
            dp[j] = relu_slope(score, slope);
        }
    }
};

}  // namespace

template <class B>
void relu_attention_forward(Stream, typename B::T* out, Rows<const typename B::T> q, Rows<const typename B::T> k,
                            Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    const Timed timed(__func__, attention_work(n, 2));
    using A = typename B::A;
    attention_forward_walk<A>(out, q, k, v, doc_start, n, [](int64_t, int64_t) { return ReluRows<A>(); });
}

template <class B>
void relu_attention_backward(Stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                             const typename B::T* dout, Rows<const typename B::T> q, Rows<const typename B::T> k,
                             Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape& n) {
    const Timed timed(__func__, attention_work(n, 4));
    using A = typename B::A;
    AttentionGradients<A>{dq, dk, dv, dout, q, k, v, doc_start, n}.walk(
        [&](int64_t, int64_t) { return ReluGradient<A>{A(n.scale)}; });
}

#define INSTANTIATE(B)                                                                                             \
    template void relu_attention_forward<B>(Stream, B::T*, Rows<const B::T>, Rows<const B::T>, Rows<const B::T>,   \
                                            const int32_t*, const AttentionShape&);                                \
    template void relu_attention_backward<B>(Stream, Rows<B::T>, Rows<B::T>, Rows<B::T>, const B::T*,              \
                                             Rows<const B::T>, Rows<const B::T>, Rows<const B::T>, const int32_t*, \
                                             const AttentionShape&);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
