// The router of a mixture of experts: softmax over the experts and the choice of the top_k, forward and backward. e
// counts experts, j a token's top_k.
//
// A warp does one row (experts) after another, and holds it in registers. Which experts were chosen, and what belongs
// to them, goes between lanes through shared memory of the warp.
#include <algorithm>
#include <limits>

#include "base/check.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/ops.h"
#include "kernels/router_math.h"

namespace sluice {
namespace {

constexpr int kMostExperts = int(Cuda<float>::kMostExperts);
constexpr int kRouterThreads = 256, kRouterWarps = kRouterThreads / kWarp;
constexpr int64_t kMostBlocks = 1024;  // of kernels that leave partial sums in scratch, one a block

// A row of up to kMost numbers over the lanes of a warp, kHeld each: they lie in pieces of N elements, and neighbouring
// lanes have neighbouring pieces. So the indices of a lane's elements ascend.
template <int kHeld, int N>
struct WarpRow {
    static constexpr int kMost = kHeld * kWarp, kMostOfBlock = kMost * kRouterWarps;  // of one row; of one a warp
    float at[kHeld];

    DEVICE static int32_t index(int i) { return (i / N * kWarp + lane()) * N + i % N; }

    // p (count) is a Global or Shared float array; elements past its end are `past`.
    template <class P>
    DEVICE static WarpRow read(P p, int32_t count, float past) {
        WarpRow row;
        for (int i = 0; i < kHeld; i += N) {
            Vec<float, N> piece;
            for (int n = 0; n < N; n++) piece[n] = past;
            if (index(i) < count) piece = load<N>(p + index(i));
            for (int n = 0; n < N; n++) row.at[i + n] = piece[n];
        }
        return row;
    }
    template <class T>
    DEVICE void write(Global<T> p, int32_t count) const {
        for (int i = 0; i < kHeld; i += N) {
            Vec<T, N> piece;
            for (int n = 0; n < N; n++) piece[n] = T(at[i + n]);
            if (index(i) < count) store<N>(p + index(i), piece);
        }
    }
};

// f<kHeld, N>() for the narrowest row that holds `experts`; wide: an access may take 4 elements.
template <class F>
void with_row(int64_t experts, bool wide, F f) {
    check(experts <= kMostExperts, "a router of more than 512 experts");
    if (experts <= 32) return f.template operator()<1, 1>();
    if (!wide) return experts <= 128 ? f.template operator()<4, 1>() : f.template operator()<16, 1>();
    if (experts <= 128) return f.template operator()<4, 4>();
    experts <= 256 ? f.template operator()<8, 4>() : f.template operator()<16, 4>();
}
int64_t blocks_of(int64_t rows) { return std::min(kMostBlocks, ceil_div(rows, kRouterWarps)); }

// ---------------------------------------------------------------- forward
constexpr int32_t kNone = std::numeric_limits<int32_t>::max();

template <int kHeld, int N>
struct RouterForward {
    static constexpr int kThreads = kRouterThreads;
    using Row = WarpRow<kHeld, N>;
    Global<float> probs, lse;
    Global<int32_t> topk_ids;
    Global<float> weights;
    Global<int32_t> counts;  // (blocks, experts): how often each expert was chosen by the block
    Global<const float> logits, bias;
    RouterShape n;

    DEVICE void operator()() const {
        SHARED(float, biases, Row::kMost);
        SHARED(float, weights_by_warp, Row::kMostOfBlock);
        SHARED(int32_t, ids_by_warp, Row::kMostOfBlock);
        for (int e = thread(); e < Row::kMost; e += kThreads) biases[e] = bias && e < n.experts ? float(bias[e]) : 0;
        block_barrier();
        const Shared<float> chosen_weights = weights_by_warp + warp() * Row::kMost;
        const Shared<int32_t> chosen_ids = ids_by_warp + warp() * Row::kMost;
        int32_t picks[kHeld] = {};
        for (int64_t r = block_x() * kRouterWarps + warp(); r < n.rows; r += grid_x() * kRouterWarps) {
            const Row p = softmax(r);
            choose(p, biases, chosen_ids, chosen_weights, picks);
            write_choice(r, chosen_ids, chosen_weights);
        }
        write_counts(picks, ids_by_warp);
    }

    // Also writes probs and lse of the row.
    DEVICE Row softmax(int64_t r) const {
        const float infinity = std::numeric_limits<float>::infinity();
        Row p = Row::read(logits + r * n.experts, int32_t(n.experts), -infinity);
        float largest = -infinity, sum = 0;
        for (int i = 0; i < kHeld; i++) largest = Larger{}(largest, p.at[i]);
        largest = warp_max(largest);
        for (int i = 0; i < kHeld; i++) {
            p.at[i] = Row::index(i) < n.experts ? exponential(p.at[i] - largest) : 0;
            sum += p.at[i];
        }
        sum = warp_sum(sum);
        for (int i = 0; i < kHeld; i++) p.at[i] /= sum;
        p.write(probs + r * n.experts, int32_t(n.experts));
        if (lane() == 0) lse[r] = largest + logarithm(sum);
        return p;
    }

    // ids (top_k) = the experts with the largest p + bias, largest first; of equal ones the lower index wins, and
    // `chosen` (top_k) their p. Each lane finds the best of its own that are left, and then the warp the best of these.
    DEVICE void choose(const Row& p, Shared<float> biases, Shared<int32_t> ids, Shared<float> chosen,
                       int32_t (&picks)[kHeld]) const {
        Row score = Row::read(biases, Row::kMost, 0);
        uint32_t taken = 0;
        for (int i = 0; i < kHeld; i++) {
            score.at[i] += p.at[i];
            if (Row::index(i) >= n.experts) taken |= 1u << i;
        }
        for (int j = 0; j < n.top_k; j++) {
            float best = -std::numeric_limits<float>::infinity();
            int32_t id = kNone;
            for (int i = 0; i < kHeld; i++)
                if (!(taken >> i & 1) && (id == kNone || score.at[i] > best)) {
                    best = score.at[i];
                    id = Row::index(i);
                }
            for (int mask = kWarp / 2; mask > 0; mask /= 2) {
                const float other = shuffle_xor(best, mask);
                const int32_t other_id = shuffle_xor(id, mask);
                // Scores that are not numbers are equal to all: some expert is always found.
                if (!(other > best) && (best > other || id <= other_id)) continue;
                best = other;
                id = other_id;
            }
            for (int i = 0; i < kHeld; i++)
                if (Row::index(i) == id) {
                    taken |= 1u << i;
                    picks[i]++;
                    ids[j] = id;
                    chosen[j] = p.at[i];
                }
        }
        warp_barrier();
    }

    DEVICE void write_choice(int64_t r, Shared<const int32_t> ids, Shared<const float> chosen) const {
        float sum = 0;
        for (int j = lane(); j < n.top_k; j += kWarp) sum += chosen[j];
        sum = n.normalise ? warp_sum(sum) : 1;
        for (int j = lane(); j < n.top_k; j += kWarp) {
            topk_ids[r * n.top_k + j] = int32_t(ids[j]);
            weights[r * n.top_k + j] = chosen[j] / sum;
        }
        warp_barrier();
    }

    // The sum of the warps' picks.
    DEVICE void write_counts(const int32_t (&picks)[kHeld], Shared<int32_t> by_warp) const {
        for (int i = 0; i < kHeld; i += N) {
            Vec<int32_t, N> piece;
            for (int j = 0; j < N; j++) piece[j] = picks[i + j];
            store<N>(by_warp + (warp() * Row::kMost + Row::index(i)), piece);
        }
        block_barrier();
        for (int e = thread(); e < n.experts; e += kThreads) {
            int32_t sum = 0;
            for (int w = 0; w < kRouterWarps; w++) sum += by_warp[w * Row::kMost + e];
            counts[block_x() * n.experts + e] = sum;
        }
    }
};

// totals (experts) = the sum of counts (blocks, experts) over blocks. A lane takes an expert, and each warp every 32nd
// block.
struct SumCounts {
    static constexpr int kThreads = 1024;
    Global<int64_t> totals;
    Global<const int32_t> counts;
    int64_t blocks, experts;

    DEVICE void operator()() const {
        SHARED(int64_t, by_warp, kThreads);  // (warps, lanes)
        const int64_t e = block_x() * kWarp + lane();
        int64_t sum = 0;
        for (int64_t b = warp(); b < blocks && e < experts; b += kThreads / kWarp) sum += counts[b * experts + e];
        by_warp[thread()] = sum;
        block_barrier();
        if (warp() > 0 || e >= experts) return;
        for (int w = 1; w < kThreads / kWarp; w++) sum += by_warp[w * kWarp + lane()];
        totals[e] = sum;
    }
};

// ---------------------------------------------------------------- backward
// With dp (experts) the gradient of one token's p = probs: dlogits = p (dp - sum of dp p) + 2 z lse p. dp is the sum of
//
//     balance load[e], of the balance loss
//     dweight[j] for e = topk_ids[j], of its weight p; if weights are normalised, p / sum over j of p, it is
//         (dweight[j] - sum over j of dweight weight) / sum over j of p
template <class T, int kHeld, int N>
struct RouterBackward {
    static constexpr int kThreads = kRouterThreads;
    using Row = WarpRow<kHeld, N>;
    Global<T> dlogits;
    Global<const float> dweights, probs, lse;
    Global<const int32_t> topk_ids;
    Global<const float> weights, load_of_experts;
    float balance, z;
    RouterShape n;

    DEVICE void operator()() const {
        SHARED(float, slopes, Row::kMost);  // of the balance loss
        SHARED(float, dweights_by_warp, Row::kMostOfBlock);
        SHARED(float, chosen_by_warp, Row::kMostOfBlock);
        for (int e = thread(); e < Row::kMost; e += kThreads)
            slopes[e] = e < n.experts ? load_of_experts[e] * balance : 0;
        block_barrier();
        const Row slope = Row::read(slopes, Row::kMost, 0);
        const Shared<float> dweight = dweights_by_warp + warp() * Row::kMost;
        const Shared<float> chosen = chosen_by_warp + warp() * Row::kMost;
        for (int64_t r = block_x() * kRouterWarps + warp(); r < n.rows; r += grid_x() * kRouterWarps) {
            const Row p = Row::read(probs + r * n.experts, int32_t(n.experts), 0);
            const float shared = spread(r, dweight, chosen);
            Row dp = slope;
            add_dweights(dp, p, dweight, chosen, shared);
            float mean = 0;  // the sum of dp p
            for (int i = 0; i < kHeld; i++) mean += dp.at[i] * p.at[i];
            mean = warp_sum(mean);
            const float z_slope = router_z_slope(z, float(lse[r]));
            for (int i = 0; i < kHeld; i++) dp.at[i] = router_slope(p.at[i], dp.at[i], mean, z_slope);
            dp.write(dlogits + r * n.experts, int32_t(n.experts));
        }
    }

    // Of a row: chosen (experts) = 1 or 0, and dweight (experts) where it is 1. Returns the sum of dweight weight, or 0
    // where weights are not normalised.
    DEVICE float spread(int64_t r, Shared<float> dweight, Shared<float> chosen) const {
        for (int i = 0; i < kHeld; i += N) {  // each lane clears what it alone reads
            store<N>(dweight + Row::index(i), Vec<float, N>{});
            store<N>(chosen + Row::index(i), Vec<float, N>{});
        }
        warp_barrier();
        float shared = 0;
        for (int64_t j = r * n.top_k + lane(); j < (r + 1) * n.top_k; j += kWarp) {
            const int32_t id = topk_ids[j];
            const float d = dweights[j];
            dweight[id] = d;
            chosen[id] = 1.f;
            if (n.normalise) shared += d * weights[j];
        }
        warp_barrier();
        return n.normalise ? warp_sum(shared) : 0;
    }

    DEVICE void add_dweights(Row& dp, const Row& p, Shared<const float> dweight, Shared<const float> chosen,
                             float shared) const {
        const Row d = Row::read(dweight, Row::kMost, 0), is_chosen = Row::read(chosen, Row::kMost, 0);
        float sum = 0;  // of the chosen p
        for (int i = 0; i < kHeld; i++) sum += is_chosen.at[i] * p.at[i];
        sum = n.normalise ? warp_sum(sum) : 1;
        for (int i = 0; i < kHeld; i++)
            if (is_chosen.at[i] > 0) dp.at[i] += chosen_slope(1.0f, d.at[i], shared, sum);
    }
};

}  // namespace

template <class B>
void router_forward(Stream stream, typename B::A* probs, typename B::A* lse, int32_t* topk_ids, typename B::A* weights,
                    int64_t* tokens_per_expert, const typename B::A* logits, const typename B::A* bias,
                    const RouterShape& n) {
    const Op op(__func__, stream, {{"rows", n.rows}, {"experts", n.experts}, {"top_k", n.top_k}},
                moved<B>(n.rows, n.experts, 2));
    const int64_t blocks = blocks_of(n.rows);
    int32_t* counts = op.template scratch<int32_t>(blocks * n.experts);
    with_row(n.experts, vector_width<float>(n.experts, probs, logits) == 4, [&]<int kHeld, int N> {
        op.launch(RouterForward<kHeld, N>{probs, lse, topk_ids, weights, counts, logits, bias, n}, {.grid = {blocks}});
    });
    op.launch(SumCounts{tokens_per_expert, counts, blocks, n.experts}, {.grid = {ceil_div(n.experts, kWarp)}});
}

template <class B>
void router_backward(Stream stream, typename B::T* dlogits, const typename B::A* dweights, const typename B::A* probs,
                     const typename B::A* lse, const int32_t* topk_ids, const typename B::A* weights,
                     const typename B::A* load, double balance, double z, const RouterShape& n) {
    using T = typename B::T;
    if (n.rows == 0) return;
    const Op op(__func__, stream, {{"rows", n.rows}, {"experts", n.experts}, {"top_k", n.top_k}},
                moved<B>(n.rows, n.experts, 2));
    const bool wide = vector_width<float>(n.experts, probs) == 4 && vector_width<T>(n.experts, dlogits) > 1;
    with_row(n.experts, wide, [&]<int kHeld, int N> {
        op.launch(RouterBackward<T, kHeld, N>{dlogits, dweights, probs, lse, topk_ids, weights, load, float(balance),
                                              float(z), n},
                  {.grid = {blocks_of(n.rows)}});
    });
}

#define INSTANTIATE(B)                                                                                         \
    template void router_forward<B>(Stream, B::A*, B::A*, int32_t*, B::A*, int64_t*, const B::A*, const B::A*, \
                                    const RouterShape&);                                                       \
    template void router_backward<B>(Stream, B::T*, const B::A*, const B::A*, const B::A*, const int32_t*,     \
                                     const B::A*, const B::A*, double, double, const RouterShape&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
