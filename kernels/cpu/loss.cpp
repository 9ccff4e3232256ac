// Cross-entropy of logits against one target a row: logsumexp(z) - z[target]; slope softmax(z) - onehot(target).
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/ops.h"

namespace sluice {

template <class B>
void cross_entropy(Stream, typename B::A* losses, typename B::T* dlogits, const typename B::T* logits,
                   const int32_t* targets, int64_t rows, int64_t vocab, double scale) {
    using A = typename B::A;
    using T = typename B::T;
    parallel_chunks(rows, vocab, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const T* z = logits + r * vocab;
            const int32_t target = targets[r];
            A largest = -std::numeric_limits<A>::infinity(), sum = 0;
#pragma omp simd reduction(max : largest)
            for (int64_t i = 0; i < vocab; i++) largest = A(z[i]) > largest ? A(z[i]) : largest;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < vocab; i++) sum += fast_exp(A(z[i]) - largest);
            const A at_target = target < 0 ? A(0) : A(z[target]);
            losses[r] = target < 0 ? A(0) : largest + std::log(sum) - at_target;
            if (!dlogits) continue;
            T* d = dlogits + r * vocab;
            const A factor = target < 0 ? A(0) : A(scale) / sum;
#pragma omp simd
            for (int64_t i = 0; i < vocab; i++) d[i] = factor * fast_exp(A(z[i]) - largest);
            if (target >= 0) d[target] -= T(scale);
        }
    });
}

template void cross_entropy<Cpu<float>>(Stream, float*, float*, const float*, const int32_t*, int64_t, int64_t, double);
template void cross_entropy<Cpu<double>>(Stream, double*, double*, const double*, const int32_t*, int64_t, int64_t,
                                         double);

}  // namespace sluice
