// Cross-entropy: log-sum-exp(logits) - logits[target], with the gradient softmax(logits) - onehot(target). What is
// saved for backward are the logits themselves. A block of a warp or more takes a row.
#include <algorithm>
#include <limits>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/loss_math.h"
#include "kernels/vocab_math.h"

namespace sluice {
namespace {

constexpr int kBlock = 256;  // threads

// f(wide, threads): the width of an access, and how many threads take a row, by its length.
template <class T, class F>
void with_kernel(int64_t width, int64_t vocab, F f) {
    with_width<T>(width, [&](auto wide) {
        if (vocab <= 4 * kWarp * wide())
            f(wide, std::integral_constant<int, kWarp>());
        else
            f(wide, std::integral_constant<int, kBlock>());
    });
}

// One pass over a row: each thread keeps the largest logit that it has seen and the sum of exp(logit - largest), which
// shrinks when a larger one comes.
template <class T, int N, int kThreads_>
struct CrossEntropyStats {
    static constexpr int kThreads = kThreads_;
    Global<float> stats;
    Global<T> saved;  // null where it is logits, or not wanted
    Global<const T> logits;
    Global<const int32_t> targets;
    int64_t first_id, vocab;

    DEVICE void operator()() const {
        const int64_t row = block_x() * vocab;  // its first logit
        const float infinity = std::numeric_limits<float>::infinity();
        float largest = -infinity, sum = 0;
        for (int64_t i = thread() * N; i < vocab; i += kThreads * N) {
            const auto z = load<N>(logits + row + i);
            if (saved) store(saved + row + i, z);
            float top = largest;
            for (int j = 0; j < N; j++) top = float(z[j]) > top ? float(z[j]) : top;
            if (top > largest) {
                sum *= exponential(largest - top);
                largest = top;
            }
            const float shift = largest > -infinity ? largest : 0;  // where all are -inf, exp must not see inf - inf
            for (int j = 0; j < N; j++) sum += exponential(float(z[j]) - shift);
        }
        const float of_row = block_max<kThreads>(largest);
        const float part = sum == 0 ? 0 : sum * exponential(largest - of_row);  // 0: the thread has seen nothing
        const float sum_exp = block_sum<kThreads>(part);
        if (thread() > 0) return;
        const int64_t target = local_id(targets[block_x()], first_id, vocab);
        const Global<float> to = stats + block_x() * kStats;
        to[kMax] = of_row;
        to[kSumExp] = sum_exp;
        to[kTargetLogit] = target >= 0 ? float(logits[row + target]) : 0.0f;
    }
};

// A thread takes a row. What a block needs of a part's stats is one run, which its threads load side by side.
struct CrossEntropyJoin {
    static constexpr int kThreads = 128;
    Global<float> losses, lse;
    Global<const float> stats;
    Global<const int32_t> targets;
    int64_t rows, parts;

    static int64_t shared_bytes(int64_t parts) { return parts * kThreads * kStats * int64_t(sizeof(float)); }

    DEVICE void operator()() const {
        const Shared<float> of_block = dynamic_shared<float>(0);  // (parts, kThreads, kStats)
        const int64_t first = block_x() * kThreads, row = first + thread();
        const int count = int(std::min<int64_t>(kThreads, rows - first)) * kStats;
        for (int64_t p = 0; p < parts; p++)
            for (int i = thread(); i < count; i += kThreads)
                of_block[p * kThreads * kStats + i] = float(stats[(p * rows + first) * kStats + i]);
        block_barrier();
        if (row >= rows) return;
        const auto part = [&](int64_t p, int i) -> float { return of_block[(p * kThreads + thread()) * kStats + i]; };
        const auto exp = [](float x) { return exponential(x); };
        const auto log = [](float x) { return logarithm(x); };
        const RowLoss<float> joined = join_stats<float>(parts, part, exp, log);
        lse[row] = joined.lse;
        losses[row] = targets[row] < 0 ? 0.0f : joined.lse - joined.target_logit;
    }
};

template <class T, int N, int kThreads_>
struct CrossEntropyBackward {
    static constexpr int kThreads = kThreads_;
    Global<T> dlogits;  // the logits before
    Global<const float> lse;
    Global<const int32_t> targets;
    int64_t first_id, vocab;
    float scale;

    DEVICE void operator()() const {
        const Global<T> row = dlogits + block_x() * vocab;
        const int32_t id = targets[block_x()];
        const int64_t target = local_id(id, first_id, vocab);
        const float of_row = lse[block_x()];
        for (int64_t i = thread() * N; i < vocab; i += kThreads * N) {
            Vec<T, N> d{};
            if (id >= 0) {
                d = load<N>(row + i);
                for (int j = 0; j < N; j++) {
                    const float softmax = exponential(float(d[j]) - of_row);
                    d[j] = T(scale * (softmax - (i + j == target ? 1.0f : 0.0f)));
                }
            }
            store(row + i, d);
        }
    }
};

// One block. A thread adds up every kThreads-th row, and the threads' sums are added in a fixed order.
struct SumOfLosses {
    static constexpr int kThreads = 1024;
    Global<double> total;
    Global<const float> losses;
    int64_t rows;

    DEVICE void operator()() const {
        double sum = 0;
        for (int64_t row = thread(); row < rows; row += kThreads) sum += double(losses[row]);
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) total[0] = double(total[0]) + sum;
    }
};

}  // namespace

// ---------------------------------------------------------------- launchers
template <class B>
void cross_entropy_stats(Stream stream, typename B::A* stats, typename B::T* saved, const typename B::T* logits,
                         const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"vocab", vocab}}, moved<B>(rows, vocab, saved ? 2 : 1));
    T* copy = saved == logits ? nullptr : saved;
    with_kernel<T>(vector_width<T>(vocab, copy, logits), vocab, [&](auto wide, auto threads) {
        op.launch(CrossEntropyStats<T, wide(), threads()>{stats, copy, logits, targets, first_id, vocab},
                  {.grid = {rows}});
    });
}

template <class B>
void cross_entropy_join(Stream stream, typename B::A* losses, typename B::A* lse, const typename B::A* stats,
                        const int32_t* targets, int64_t rows, int64_t parts) {
    const Op op(__func__, stream, {{"rows", rows}, {"parts", parts}}, moved<B>(rows, 3 * parts, 1));
    op.launch(CrossEntropyJoin{losses, lse, stats, targets, rows, parts},
              {.grid = {ceil_div(rows, CrossEntropyJoin::kThreads)}, .shared = CrossEntropyJoin::shared_bytes(parts)});
}

// `stats` are not needed: a logit and the row's log-sum-exp say all.
template <class B>
void cross_entropy_backward(Stream stream, typename B::T* dlogits, const typename B::A*, const typename B::A* lse,
                            const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab, double scale) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"vocab", vocab}}, moved<B>(rows, vocab, 2));
    with_kernel<T>(vector_width<T>(vocab, dlogits), vocab, [&](auto wide, auto threads) {
        op.launch(CrossEntropyBackward<T, wide(), threads()>{dlogits, lse, targets, first_id, vocab, float(scale)},
                  {.grid = {rows}});
    });
}

template <class B>
void sum_of_losses(Stream stream, double* total, const typename B::A* losses, int64_t rows) {
    const Op op(__func__, stream, {{"rows", rows}}, moved<B>(1, rows, 1));
    if (rows > 0) op.launch(SumOfLosses{total, losses, rows}, {});
}

#define INSTANTIATE(B)                                                                                                 \
    template void cross_entropy_stats<B>(Stream, B::A*, B::T*, const B::T*, const int32_t*, int64_t, int64_t,          \
                                         int64_t);                                                                     \
    template void cross_entropy_join<B>(Stream, B::A*, B::A*, const B::A*, const int32_t*, int64_t, int64_t);          \
    template void cross_entropy_backward<B>(Stream, B::T*, const B::A*, const B::A*, const int32_t*, int64_t, int64_t, \
                                            int64_t, double);                                                          \
    template void sum_of_losses<B>(Stream, double*, const B::A*, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
