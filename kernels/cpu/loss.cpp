// Cross-entropy of logits against one target a row: logsumexp(z) - z[target]; slope softmax(z) - onehot(target). Parts
// of a vocabulary meet in three numbers a row.
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

template <class B>
void cross_entropy_stats(Stream, typename B::A* stats, typename B::T* exponentials, const typename B::T* logits,
                         const int32_t* targets, int64_t rows, int64_t first, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, vocab, exponentials ? 2 : 1));
    using A = typename B::A;
    parallel_chunks(rows, vocab, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const auto* z = logits + r * vocab;
            A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
            for (int64_t i = 0; i < vocab; i++) largest = A(z[i]) > largest ? A(z[i]) : largest;
            const int64_t target = targets[r] - first;
            stats[3 * r + 2] = targets[r] >= 0 && target >= 0 && target < vocab ? A(z[target]) : A(0);
            if (exponentials) {
                auto* kept = exponentials + r * vocab;
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < vocab; i++) {
                    const A e = softmax_exp(A(z[i]) - largest);
                    kept[i] = e;
                    sum += e;
                }
            } else {
#pragma omp simd reduction(+ : sum)
                for (int64_t i = 0; i < vocab; i++) sum += softmax_exp(A(z[i]) - largest);
            }
            stats[3 * r] = largest;
            stats[3 * r + 1] = sum;
        }
    });
}

template <class B>
void cross_entropy_join(Stream, typename B::A* losses, typename B::A* lse, const typename B::A* stats,
                        const int32_t* targets, int64_t rows, int64_t parts) {
    const Timed timed(__func__, moved<B>(rows, 3 * parts, 1));
    using A = typename B::A;
    for (int64_t r = 0; r < rows; r++) {
        A largest = -std::numeric_limits<A>::infinity(), sum = 0, at_target = 0;
        for (int64_t p = 0; p < parts; p++) largest = std::max(largest, stats[3 * (p * rows + r)]);
        for (int64_t p = 0; p < parts; p++) {
            const A* part = stats + 3 * (p * rows + r);
            if (part[1] != 0) sum += part[1] * (parts > 1 ? std::exp(part[0] - largest) : A(1));
            at_target += part[2];
        }
        lse[r] = largest + std::log(sum);
        losses[r] = targets[r] < 0 ? A(0) : lse[r] - at_target;
    }
}

template <class B>
void cross_entropy_backward(Stream, typename B::T* dlogits, const typename B::A* stats, const typename B::A* lse,
                            const int32_t* targets, int64_t rows, int64_t first, int64_t vocab, double scale) {
    const Timed timed(__func__, moved<B>(rows, vocab, 2));
    using A = typename B::A;
    using T = typename B::T;
    parallel_chunks(rows, vocab, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            T* d = dlogits + r * vocab;
            const A factor = targets[r] < 0 ? A(0) : A(scale) * std::exp(stats[3 * r] - lse[r]);
#pragma omp simd
            for (int64_t i = 0; i < vocab; i++) d[i] *= factor;
            const int64_t target = targets[r] - first;
            if (targets[r] >= 0 && target >= 0 && target < vocab) d[target] -= T(scale);
        }
    });
}

#define INSTANTIATE(B)                                                                                                 \
    template void cross_entropy_stats<B>(Stream, B::A*, B::T*, const B::T*, const int32_t*, int64_t, int64_t,          \
                                         int64_t);                                                                     \
    template void cross_entropy_join<B>(Stream, B::A*, B::A*, const B::A*, const int32_t*, int64_t, int64_t);          \
    template void cross_entropy_backward<B>(Stream, B::T*, const B::A*, const B::A*, const int32_t*, int64_t, int64_t, \
                                            int64_t, double);
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
