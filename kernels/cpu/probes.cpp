// Probes: sums and largest values over a pass. Sums are formed in double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/math.h"
#include "kernels/attention_math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd_math.h"
#include "kernels/gate_math.h"
#include "kernels/probe_math.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

template <class A>
A dot(const A* x, const A* y, int64_t count) {
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += x[i] * y[i];
    return sum;
}

// Factors of one head, side by side, with their bins.
template <class A>
void add_factors(GateSums& to, const A* g, const int32_t* bin, int64_t count) {
    double sum = 0, under[3] = {0, 0, 0};
#pragma omp simd reduction(+ : sum, under)
    for (int64_t i = 0; i < count; i++) {
        sum += double(g[i]);
        count_small_gate(under, g[i]);
    }
    to.count += double(count);
    to.sum += sum;
    for (int u = 0; u < 3; u++) to.under[u] += under[u];
    for (int64_t i = 0; i < count; i++) to.bins[bin[i]]++;
}

}  // namespace

template <class B>
void gate_sums(Stream, GateSums* sums, const typename B::T* s, const GateShape& n, Factor factor) {
    const int64_t rows = n.score_rows(), channels = n.score_channels(), width = n.score_heads() * channels;
    const Timed timed(__func__, moved<B>(rows, width, 1));
    using A = typename B::A;
    constexpr int64_t kBlock = 512;
    static_assert(sizeof(GateSums) % sizeof(double) == 0);
    auto* total = reinterpret_cast<double*>(sums);
    with_activation(factor.activation, [&]<class Act>(Act) {
        const FactorMath<Act, A> a{A(factor.scale)};
        const int64_t numbers = n.score_heads() * int64_t(sizeof(GateSums) / sizeof(double));
        sum_rows<double, double>(total, rows, numbers, [&](int64_t r, double* partial) {
            A g[kBlock];
            int32_t bin[kBlock];
            for (int64_t begin = 0; begin < width; begin += kBlock) {
                const int64_t end = std::min(width, begin + kBlock);
                const auto* scores = s + r * n.stride.row + begin;
#pragma omp simd
                for (int64_t i = 0; i < end - begin; i++) {
                    g[i] = a.value(A(scores[i]), logistic);
                    bin[i] = gate_bin(g[i]);
                }
                for (int64_t i = begin; i < end;) {
                    const int64_t head = i / channels, next = std::min(end, (head + 1) * channels);
                    add_factors(reinterpret_cast<GateSums*>(partial)[head], g + (i - begin), bin + (i - begin),
                                next - i);
                    i = next;
                }
            }
        });
    });
}

template <class B>
void attention_sums(Stream, AttentionSums* sums, const typename B::A* lse, const typename B::T* mean_k,
                    const typename B::A* largest, Rows<const typename B::T> q, Rows<const typename B::T> k,
                    const int32_t* doc_start, const AttentionShape& n) {
    const int64_t tokens = n.sequences * n.length, group = n.heads / n.kv_heads;
    const Timed timed(__func__, moved<B>(tokens, n.heads * n.dim, 3));
    using A = typename B::A;
    const A scale = A(n.scale);
#pragma omp parallel for schedule(static)
    for (int64_t h = 0; h < n.heads; h++) {
        AttentionSums& to = sums[h];
        for (int64_t token = 0; token < tokens; token++) {
            const int64_t sequence = token / n.length, t = token % n.length;
            const int64_t first = first_seen<int64_t>(t, doc_start ? doc_start[token] : 0, n.window);
            const auto* query = q.row(token) + h * n.dim;
            const auto* key = k.row(sequence * n.length + std::max<int64_t>(first, 0)) + h / group * n.dim;
            const int64_t row = (sequence * n.heads + h) * n.length + t;
            const A mean_score = scale * dot(query, mean_k + (token * n.heads + h) * n.dim, n.dim);
            if (first >= 0) to.first += double(std::exp(scale * dot(query, key, n.dim) - lse[row]));
            to.entropy += double(softmax_entropy(lse[row], mean_score));
            to.largest = larger_of(to.largest, double(largest[row]));
        }
        to.count += double(tokens);
    }
}

template <class B>
void attention_map(Stream, typename B::A* map, const typename B::A* lse, Rows<const typename B::T> q,
                   Rows<const typename B::T> k, const int32_t* doc_start, int64_t tokens, const AttentionShape& n) {
    const Timed timed(__func__, moved<B>(tokens, tokens, 1));
    using A = typename B::A;
    const int64_t group = n.heads / n.kv_heads;
    parallel_chunks(tokens, tokens * n.heads * n.dim, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; t++)
            for (int64_t u = 0; u < tokens; u++) {
                A sum = 0;
                for (int64_t h = 0; h < n.heads && sees<int64_t>(t, u, doc_start ? doc_start[t] : 0, n.window); h++) {
                    const A score = A(n.scale) * dot(q.row(t) + h * n.dim, k.row(u) + h / group * n.dim, n.dim);
                    sum += std::exp(score - lse[h * n.length + t]);
                }
                map[t * tokens + u] = sum;
            }
    });
}

template <class B>
void magnitude_sums(Stream, MagnitudeSums* sums, const typename B::T* x, int64_t rows, int64_t heads, int64_t channels,
                    double factor) {
    const int64_t width = heads * channels;
    if (rows * width == 0) return;
    const Timed timed(__func__, moved<B>(rows, width, 1));
    using A = typename B::A;
    const int64_t rows_of_chunk = ceil_div(16384, width), chunks = ceil_div(rows, rows_of_chunk);
    thread_local std::vector<MagnitudeSums> storage;  // (chunks, heads)
    storage.assign(size_t(chunks * heads), MagnitudeSums{});
    MagnitudeSums* of_chunks = storage.data();
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++) {
        const int64_t end = std::min(rows, (c + 1) * rows_of_chunk);
        for (int64_t part = c * rows_of_chunk * heads; part < end * heads; part++) {
            double sum = 0, under[2] = {0, 0};
            A largest = 0;
            for (const auto *from = x + part * channels, *to = from + channels; from < to; from++) {
                const A m = magnitude(A(factor) * A(*from));
                sum += double(m);
                count_small(under, m);
                largest = larger_of(largest, m);
            }
            add(of_chunks[c * heads + part % heads], {double(channels), sum, {under[0], under[1]}, double(largest)});
        }
    }
    for (int64_t i = 0; i < chunks * heads; i++) add(sums[i % heads], of_chunks[i]);
}

#define INSTANTIATE(B)                                                                                               \
    template void gate_sums<B>(Stream, GateSums*, const B::T*, const GateShape&, Factor);                            \
    template void attention_sums<B>(Stream, AttentionSums*, const B::A*, const B::T*, const B::A*, Rows<const B::T>, \
                                    Rows<const B::T>, const int32_t*, const AttentionShape&);                        \
    template void attention_map<B>(Stream, B::A*, const B::A*, Rows<const B::T>, Rows<const B::T>, const int32_t*,   \
                                   int64_t, const AttentionShape&);                                                  \
    template void magnitude_sums<B>(Stream, MagnitudeSums*, const B::T*, int64_t, int64_t, int64_t, double);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
