// Probes: sums and largest values over a pass. Sums are formed in double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention_math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/probe_math.h"
#include "kernels/profile.h"

namespace sluice {

template <class B>
void gate_sums(Stream, GateSums* sums, const typename B::T* s, const GateShape& n, Factor factor) {
    const int64_t rows = n.score_rows(), width = n.score_heads() * n.score_channels();
    const Timed timed(__func__, moved<B>(rows, width, 1));
    using A = typename B::A;
    double total[2] = {0, 0};
    with_activation(factor.activation, [&]<class Act>(Act) {
        const FactorMath<Act, A> a{A(factor.scale)};
        sum_rows<double, double>(total, rows, 2, [&](int64_t r, double* partial) {
            for (int64_t i = 0; i < width; i++) {
                const A g = a.value(A(s[r * n.stride.row + i]), logistic);
                partial[0] += double(g);
                partial[1] += g < A(kSmallGate);
            }
        });
    });
    sums->sum += total[0];
    sums->small += total[1];
    sums->count += double(rows * width);
}

template <class B>
void attention_sums(Stream, AttentionSums* sums, const typename B::A* lse, const typename B::T* mean_k,
                    Rows<const typename B::T> q, Rows<const typename B::T> k, const int32_t* doc_start,
                    const AttentionShape& n) {
    const int64_t tokens = n.sequences * n.length, group = n.heads / n.kv_heads;
    const Timed timed(__func__, moved<B>(tokens, n.heads * n.dim, 3));
    using A = typename B::A;
    const A scale = A(n.scale);
    double total[2] = {0, 0};
    sum_rows<double, double>(total, tokens, 2, [&](int64_t token, double* partial) {
        const int64_t sequence = token / n.length, t = token % n.length;
        const int64_t first = first_seen<int64_t>(t, doc_start ? doc_start[token] : 0, n.window);
        for (int64_t h = 0; h < n.heads; h++) {
            const auto *query = q.row(token) + h * n.dim, *mean = mean_k + (token * n.heads + h) * n.dim;
            const auto* key = k.row(sequence * n.length + std::max<int64_t>(first, 0)) + h / group * n.dim;
            A score = 0, mean_score = 0;
            for (int64_t i = 0; i < n.dim; i++) {
                score += A(query[i]) * A(key[i]);
                mean_score += A(query[i]) * A(mean[i]);
            }
            const A log_sum = lse[(sequence * n.heads + h) * n.length + t];
            if (first >= 0) partial[0] += double(std::exp(scale * score - log_sum));
            partial[1] += double(softmax_entropy(log_sum, scale * mean_score));
        }
    });
    sums->first += total[0];
    sums->entropy += total[1];
    sums->count += double(tokens * n.heads);
}

template <class B, class X>
void raise_to_largest(Stream, double* largest, const X* x, int64_t count, Of of) {
    const Timed timed(__func__, moved<B>(1, count, 1));
    constexpr int64_t kChunk = 16384;
    const int64_t chunks = (count + kChunk - 1) / kChunk;
    thread_local std::vector<double> storage;  // (chunks)
    storage.assign(size_t(chunks), -std::numeric_limits<double>::infinity());
    double* of_chunk = storage.data();
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++)
        for (int64_t i = c * kChunk; i < std::min(count, (c + 1) * kChunk); i++)
            of_chunk[c] = larger_of(of_chunk[c], double(of == Of::values ? x[i] : magnitude(x[i])));
    for (int64_t c = 0; c < chunks; c++) *largest = larger_of(*largest, of_chunk[c]);
}

#define INSTANTIATE(B)                                                                                  \
    template void gate_sums<B>(Stream, GateSums*, const B::T*, const GateShape&, Factor);               \
    template void attention_sums<B>(Stream, AttentionSums*, const B::A*, const B::T*, Rows<const B::T>, \
                                    Rows<const B::T>, const int32_t*, const AttentionShape&);           \
    template void raise_to_largest<B, B::T>(Stream, double*, const B::T*, int64_t, Of);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
