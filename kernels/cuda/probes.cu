// Probes: sums and largest values over a pass. Blocks leave what they found in scratch, and one block joins it, in an
// order that never changes.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/attention_math.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/probe_math.h"

namespace sluice {
namespace {

constexpr int kProbeThreads = 256, kProbeWarps = kProbeThreads / kWarp;
constexpr int64_t kMostBlocks = 1024;  // that leave a number in scratch

// to (2) += the sums over blocks of found (blocks, 2), and to[2] += count.
struct AddFound {
    static constexpr int kThreads = kProbeThreads;
    Global<double> to;
    Global<const double> found;
    int64_t blocks;
    double count;

    DEVICE void operator()() const {
        for (int i = 0; i < 2; i++) {
            double sum = 0;
            for (int64_t b = thread(); b < blocks; b += kThreads) sum += double(found[b * 2 + i]);
            sum = block_sum<kThreads>(sum);
            if (thread() == 0) to[i] += sum;
        }
        if (thread() == 0) to[2] += count;
    }
};
DEVICE void leave_two(Global<double> found, double first, double second) {
    first = block_sum<kProbeThreads>(first);
    second = block_sum<kProbeThreads>(second);
    if (thread() > 0) return;
    found[block_x() * 2] = first;
    found[block_x() * 2 + 1] = second;
}

// A warp goes over one row of scores (width) after another.
template <class T, int N, class Act>
struct SumGates {
    static constexpr int kThreads = kProbeThreads;
    Global<double> found;
    Global<const T> s;
    int64_t rows, width, stride;
    FactorMath<Act, float> factor;

    DEVICE void operator()() const {
        double sum = 0, small = 0;
        for (int64_t r = block_x() * kProbeWarps + warp(); r < rows; r += grid_x() * kProbeWarps)
            for (int64_t i = lane() * N; i < width; i += kWarp * N) {
                const Vec<T, N> score = load<N>(s + (r * stride + i));
                for (int e = 0; e < N; e++) {
                    const float g = factor.value(float(score[e]), Logistic{});
                    sum += double(g);
                    small += g < float(kSmallGate) ? 1 : 0;
                }
            }
        leave_two(found, sum, small);
    }
};

// A warp takes one head of a token after another.
template <class T, int N>
struct SumAttention {
    static constexpr int kThreads = kProbeThreads;
    Global<double> found;
    Global<const float> lse;
    Global<const T> mean_k, q, k;
    int64_t q_stride, k_stride;
    Global<const int32_t> doc_start;
    AttentionShape n;

    DEVICE void operator()() const {
        double all_first = 0, all_entropy = 0;
        const int64_t rows = n.sequences * n.length * n.heads;
        for (int64_t r = block_x() * kProbeWarps + warp(); r < rows; r += grid_x() * kProbeWarps) {
            const int64_t token = r / n.heads, head = r % n.heads, sequence = token / n.length, t = token % n.length;
            const int64_t first = first_seen<int64_t>(t, doc_start ? int32_t(doc_start[token]) : 0, n.window);
            const int64_t key = (sequence * n.length + std::max<int64_t>(first, 0)) * k_stride;
            const auto query = q + (token * q_stride + head * n.dim), mean = mean_k + r * n.dim;
            const auto first_key = k + (key + head / (n.heads / n.kv_heads) * n.dim);
            float score = 0, mean_score = 0;
            for (int64_t i = lane() * N; i < n.dim; i += kWarp * N) {
                const Vec<T, N> a = load<N>(query + i), b = load<N>(first_key + i), m = load<N>(mean + i);
                for (int e = 0; e < N; e++) {
                    score += float(a[e]) * float(b[e]);
                    mean_score += float(a[e]) * float(m[e]);
                }
            }
            score = warp_sum(score);
            mean_score = warp_sum(mean_score);
            if (lane() > 0) continue;
            const float scale = float(n.scale), log_sum = lse[(sequence * n.heads + head) * n.length + t];
            if (first >= 0) all_first += double(exponential(scale * score - log_sum));
            all_entropy += double(softmax_entropy(log_sum, scale * mean_score));
        }
        leave_two(found, all_first, all_entropy);
    }
};

// found (blocks) = the largest of each block's elements; to (1), by one block, the largest of it and of these.
template <class X, int N>
struct FindLargest {
    static constexpr int kThreads = kProbeThreads;
    Global<double> found;
    Global<const X> x;
    int64_t count;
    Of of;

    DEVICE void operator()() const {
        float largest = -std::numeric_limits<float>::infinity();
        for (int64_t i = (block_x() * kThreads + thread()) * N; i < count; i += grid_x() * kThreads * N) {
            const Vec<X, N> v = load<N>(x + i);
            for (int e = 0; e < N; e++)
                largest = larger_of(largest, of == Of::values ? float(v[e]) : magnitude(float(v[e])));
        }
        largest = block_max<kThreads>(largest);
        if (thread() == 0) found[block_x()] = double(largest);
    }
};
struct RaiseToLargest {
    static constexpr int kThreads = kProbeThreads;
    Global<double> to;
    Global<const double> found;
    int64_t blocks;

    DEVICE void operator()() const {
        double largest = to[0];
        for (int64_t b = thread(); b < blocks; b += kThreads) largest = larger_of(largest, double(found[b]));
        largest = block_max<kThreads>(largest);
        if (thread() == 0) to[0] = largest;
    }
};

}  // namespace

template <class B>
void gate_sums(Stream stream, GateSums* sums, const typename B::T* s, const GateShape& n, Factor factor) {
    using T = typename B::T;
    const int64_t rows = n.score_rows(), width = n.score_heads() * n.score_channels();
    if (rows * width == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"scores", width}});
    const int64_t blocks = std::min(kMostBlocks, ceil_div(rows, kProbeWarps));
    double* found = op.template scratch<double>(2 * blocks);
    with_activation(factor.activation, [&]<class Act>(Act) {
        const FactorMath<Act, float> math{float(factor.scale)};
        with_width<T>(vector_width_of<T>({width, n.stride.row}, s), [&](auto wide) {
            op.launch(SumGates<T, wide(), Act>{found, s, rows, width, n.stride.row, math}, {.grid = {blocks}});
        });
    });
    op.launch(AddFound{&sums->sum, found, blocks, double(rows * width)}, {.grid = {1}});
}

template <class B>
void attention_sums(Stream stream, AttentionSums* sums, const typename B::A* lse, const typename B::T* mean_k,
                    Rows<const typename B::T> q, Rows<const typename B::T> k, const int32_t* doc_start,
                    const AttentionShape& n) {
    using T = typename B::T;
    const int64_t rows = n.sequences * n.length * n.heads;
    if (rows == 0) return;
    const Op op(__func__, stream,
                {{"sequences", n.sequences}, {"length", n.length}, {"heads", n.heads}, {"dim", n.dim}});
    const int64_t blocks = std::min(kMostBlocks, ceil_div(rows, kProbeWarps));
    double* found = op.template scratch<double>(2 * blocks);
    constexpr int kWide = 4;  // a head of 128 is a warp's
    if (vector_width<T>(n.dim, mean_k, q.data, k.data) >= kWide && q.stride % kWide == 0 && k.stride % kWide == 0)
        op.launch(SumAttention<T, kWide>{found, lse, mean_k, q.data, k.data, q.stride, k.stride, doc_start, n},
                  {.grid = {blocks}});
    else
        op.launch(SumAttention<T, 1>{found, lse, mean_k, q.data, k.data, q.stride, k.stride, doc_start, n},
                  {.grid = {blocks}});
    op.launch(AddFound{&sums->first, found, blocks, double(rows)}, {.grid = {1}});
}

template <class B, class X>
void raise_to_largest(Stream stream, double* largest, const X* x, int64_t count, Of of) {
    if (count == 0) return;
    const Op op(__func__, stream, {{"count", count}});
    with_width<X>(vector_width<X>(count, x), [&](auto wide) {
        const int64_t blocks = std::min(kMostBlocks, ceil_div(count, kProbeThreads * wide()));
        double* found = op.template scratch<double>(blocks);
        op.launch(FindLargest<X, wide()>{found, x, count, of}, {.grid = {blocks}});
        op.launch(RaiseToLargest{largest, found, blocks}, {.grid = {1}});
    });
}

#define INSTANTIATE(B)                                                                                  \
    template void gate_sums<B>(Stream, GateSums*, const B::T*, const GateShape&, Factor);               \
    template void attention_sums<B>(Stream, AttentionSums*, const B::A*, const B::T*, Rows<const B::T>, \
                                    Rows<const B::T>, const int32_t*, const AttentionShape&);           \
    template void raise_to_largest<B, B::T>(Stream, double*, const B::T*, int64_t, Of);
SLUICE_CUDA_BACKENDS(INSTANTIATE)
// For what both backends have in float.
template void raise_to_largest<Cuda<bf16>, float>(Stream, double*, const float*, int64_t, Of);

}  // namespace sluice
