// Cross-entropy of one target a row: log-sum-exp(logits) - logits[target], with the gradient softmax(logits) -
// onehot(target). Logits may be sharded over the vocabulary: each shard reduces its part of a row to three numbers, and
// these are joined.
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/loss_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/vocab_math.h"

namespace sluice {
// Two passes over a row: its maximum, then the sum of exp(logit - maximum). What is saved are these exponentials.
template <class B>
void cross_entropy_stats(Stream, typename B::A* stats, typename B::T* saved, const typename B::T* logits,
                         const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, vocab, saved ? 2 : 1));
    using A = typename B::A;
    parallel_chunks(rows, vocab, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* z = logits + r * vocab;
            A* row = stats + kStats * r;
            A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
            for (int64_t i = 0; i < vocab; i++) largest = A(z[i]) > largest ? A(z[i]) : largest;
            // Read before the exponentials, which may stand where the logits are.
            const int64_t target = local_id(targets[r], first_id, vocab);
            row[kTargetLogit] = target >= 0 ? A(z[target]) : A(0);
            if (saved) {
                auto* exponentials = saved + r * vocab;
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < vocab; i++) {
                    const A e = softmax_exp(A(z[i]) - largest);
                    exponentials[i] = e;
                    sum += e;
                }
            } else {
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < vocab; i++) sum += softmax_exp(A(z[i]) - largest);
            }
            row[kMax] = largest;
            row[kSumExp] = sum;
        }
    });
}

template <class B>
void cross_entropy_join(Stream, typename B::A* losses, typename B::A* lse, const typename B::A* stats,
                        const int32_t* targets, int64_t rows, int64_t parts) {
    const Timed timed(__func__, moved<B>(rows, 3 * parts, 1));
    using A = typename B::A;
    for (int64_t r = 0; r < rows; r++) {
        const RowLoss<A> row = join_stats<A>(
            parts, [&](int64_t p, int i) { return stats[kStats * (p * rows + r) + i]; },
            [](A x) { return std::exp(x); }, [](A x) { return std::log(x); });
        lse[r] = row.lse;
        losses[r] = targets[r] < 0 ? A(0) : row.lse - row.target_logit;
    }
}

// softmax = exp(logit - lse) = exponential exp(maximum - lse).
template <class B>
void cross_entropy_backward(Stream, typename B::T* dlogits, const typename B::A* stats, const typename B::A* lse,
                            const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab, double scale) {
    const Timed timed(__func__, moved<B>(rows, vocab, 2));
    using A = typename B::A;
    using T = typename B::T;
    parallel_chunks(rows, vocab, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            T* d = dlogits + r * vocab;
            const A factor = targets[r] < 0 ? A(0) : A(scale) * std::exp(stats[kStats * r + kMax] - lse[r]);
#pragma omp simd
            for (int64_t i = 0; i < vocab; i++) d[i] *= factor;
            const int64_t target = local_id(targets[r], first_id, vocab);
            if (target >= 0) d[target] -= T(scale);
        }
    });
}

template <class B>
void sum_of_losses(Stream, double* total, const typename B::A* losses, int64_t rows) {
    const Timed timed(__func__, moved<B>(1, rows, 1));
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += double(losses[r]);
    *total += sum;
}

#define INSTANTIATE(B)                                                                                                 \
    template void cross_entropy_stats<B>(Stream, B::A*, B::T*, const B::T*, const int32_t*, int64_t, int64_t,          \
                                         int64_t);                                                                     \
    template void cross_entropy_join<B>(Stream, B::A*, B::A*, const B::A*, const int32_t*, int64_t, int64_t);          \
    template void cross_entropy_backward<B>(Stream, B::T*, const B::A*, const B::A*, const int32_t*, int64_t, int64_t, \
                                            int64_t, double);                                                          \
    template void sum_of_losses<B>(Stream, double*, const B::A*, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
