// What balances a mixture of experts: sums over the router's rows, and counts of the experts' tokens. e counts experts.
#include <algorithm>

#include "base/check.h"
#include "kernels/attention_math.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/ops.h"
#include "kernels/router_math.h"

namespace sluice {
namespace {

constexpr int kMostExperts = int(Cuda<float>::kMostExperts);
constexpr int64_t kMostBlocks = 1024;  // that leave partial sums in scratch

// ---------------------------------------------------------------- sums
constexpr int kSums = 3;  // balance, z, entropy, in the order of RouterSums
static_assert(sizeof(RouterSums) == kSums * sizeof(double));

// partials (blocks, 3): each block's sums. A lane's products of one row are added in float, all else in double.
template <int N>
struct SumRouter {
    static constexpr int kThreads = 256;
    static constexpr int kWarps = kThreads / kWarp;
    Global<double> partials;
    Global<const float> logits, probs, lse, load_of_experts;
    RouterShape n;

    DEVICE void operator()() const {
        SHARED(float, loads, kMostExperts);
        for (int e = thread(); e < n.experts; e += kThreads) loads[e] = float(load_of_experts[e]);
        block_barrier();
        double sums[kSums] = {0, 0, 0};
        for (int64_t r = block_x() * kWarps + warp(); r < n.rows; r += grid_x() * kWarps) {
            const int64_t row = r * n.experts;
            float balance = 0, logit = 0;  // sums of load p and of p logit
            for (int64_t e = lane() * N; e < n.experts; e += kWarp * N) {
                const auto z = load<N>(logits + (row + e)), p = load<N>(probs + (row + e)), l = load<N>(loads + e);
                for (int i = 0; i < N; i++) {
                    balance += l[i] * p[i];
                    logit += p[i] * z[i];
                }
            }
            const double row_lse = lane() == 0 ? float(lse[r]) : 0;
            sums[0] += balance;
            sums[1] += row_lse * row_lse;
            sums[2] += softmax_entropy(row_lse, double(logit));
        }
        for (int i = 0; i < kSums; i++) {
            const double sum = block_sum<kThreads>(sums[i]);
            if (thread() == 0) partials[block_x() * kSums + i] = sum;
        }
    }
};

// sums (3) += scale times the sum of partials (blocks, 3), by one block.
struct AddRouterSums {
    static constexpr int kThreads = 256;
    Global<double> sums;
    Global<const double> partials;
    int64_t blocks;
    double scale;

    DEVICE void operator()() const {
        for (int i = 0; i < kSums; i++) {
            double sum = 0;
            for (int64_t b = thread(); b < blocks; b += kThreads) sum += double(partials[b * kSums + i]);
            sum = block_sum<kThreads>(sum);
            if (thread() == 0) sums[i] += scale * sum;
        }
    }
};

// ---------------------------------------------------------------- counts
struct AddCounts {
    static constexpr int kThreads = 256;
    Global<int64_t> total;
    Global<const int64_t> counts;
    int64_t experts;

    DEVICE void operator()() const {
        const int64_t e = block_x() * kThreads + thread();
        if (e < experts) total[e] += int64_t(counts[e]);
    }
};

// By one block, as the next.
struct ExpertLoad {
    static constexpr int kThreads = 256;
    Global<float> load_of_experts;
    Global<const int64_t> counts;
    int64_t experts;

    DEVICE void operator()() const {
        int64_t all = 0;
        for (int64_t e = thread(); e < experts; e += kThreads) all += counts[e];
        all = block_sum<kThreads>(all);
        for (int64_t e = thread(); e < experts; e += kThreads)
            load_of_experts[e] = float(load_of_expert(counts[e], all, experts));
    }
};

struct MoveRouterBias {
    static constexpr int kThreads = 256;
    Global<float> bias;
    Global<const int64_t> counts;
    int64_t experts;
    float rate;

    DEVICE void operator()() const {
        int64_t all = 0;
        for (int64_t e = thread(); e < experts; e += kThreads) all += counts[e];
        all = block_sum<kThreads>(all);
        for (int64_t e = thread(); e < experts; e += kThreads) bias[e] += bias_move(counts[e], all, experts, rate);
    }
};

}  // namespace

template <class B>
void router_sums(Stream stream, RouterSums* sums, const typename B::A* logits, const typename B::A* probs,
                 const typename B::A* lse, const typename B::A* load, double scale, const RouterShape& n) {
    if (n.rows == 0) return;
    check(n.experts <= kMostExperts, "a router of more than 512 experts");
    const Op op(__func__, stream, {{"rows", n.rows}, {"experts", n.experts}}, moved<B>(n.rows, n.experts, 2));
    const int64_t blocks = std::min(kMostBlocks, ceil_div(n.rows, SumRouter<1>::kWarps));
    double* partials = op.template scratch<double>(blocks * kSums);
    if (vector_width<float>(n.experts, logits, probs) == 4)
        op.launch(SumRouter<4>{partials, logits, probs, lse, load, n}, {.grid = {blocks}});
    else
        op.launch(SumRouter<1>{partials, logits, probs, lse, load, n}, {.grid = {blocks}});
    op.launch(AddRouterSums{&sums->balance, partials, blocks, scale}, {.grid = {1}});
}

template <class B>
void add_counts(Stream stream, int64_t* total, const int64_t* counts, int64_t experts) {
    const Op op(__func__, stream, {{"experts", experts}}, moved<int64_t>(1, experts, 2));
    op.launch(AddCounts{total, counts, experts}, {.grid = {ceil_div(experts, AddCounts::kThreads)}});
}

template <class B>
void expert_load(Stream stream, typename B::A* load, const int64_t* counts, int64_t experts) {
    const Op op(__func__, stream, {{"experts", experts}}, moved<int64_t>(1, experts, 2));
    op.launch(ExpertLoad{load, counts, experts}, {.grid = {1}});
}

template <class B>
void move_router_bias(Stream stream, typename B::A* bias, const int64_t* counts, int64_t experts, double rate) {
    const Op op(__func__, stream, {{"experts", experts}}, moved<int64_t>(1, experts, 2));
    op.launch(MoveRouterBias{bias, counts, experts, float(rate)}, {.grid = {1}});
}

#define INSTANTIATE(B)                                                                                            \
    template void router_sums<B>(Stream, RouterSums*, const B::A*, const B::A*, const B::A*, const B::A*, double, \
                                 const RouterShape&);                                                             \
    template void add_counts<B>(Stream, int64_t*, const int64_t*, int64_t);                                       \
    template void expert_load<B>(Stream, B::A*, const int64_t*, int64_t);                                         \
    template void move_router_bias<B>(Stream, B::A*, const int64_t*, int64_t, double);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
