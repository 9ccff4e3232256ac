// Probes: sums and largest values over a pass. Blocks leave what they found in scratch, and one kernel joins it, in an
// order that never changes.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/attention_math.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/gate_math.h"
#include "kernels/probe_math.h"

namespace sluice {
namespace {

constexpr int64_t kMostBlocks = 1024;  // that leave numbers in scratch
template <class Sums>
constexpr int64_t kNumbers = int64_t(sizeof(Sums) / sizeof(double));

// to (parts, width) += the sums over blocks of found (parts, blocks, width). Number `largest` of a part is the largest
// instead; number 0 is a count, which the host knows: to += count.
struct AddFound {
    static constexpr int kThreads = 128;
    Global<double> to;
    Global<const double> found;
    int64_t parts, blocks, width, largest;
    double count;

    DEVICE void operator()() const {
        const int64_t i = block_x() * kThreads + thread();
        if (i >= parts * width) return;
        const int64_t part = i / width, number = i % width;
        double sum = to[i];
        if (number == 0) sum += count;
        for (int64_t b = 0; b < blocks && number > 0; b++) {
            const double x = found[(part * blocks + b) * width + number];
            sum = number == largest ? larger_of(sum, x) : sum + x;
        }
        to[i] = sum;
    }
};
template <class Sums>
void add_found(const Op& op, Sums* to, const double* found, int64_t parts, int64_t blocks, int64_t largest,
               double count) {
    const int64_t width = kNumbers<Sums>;
    op.launch(AddFound{reinterpret_cast<double*>(to), found, parts, blocks, width, largest, count},
              {.grid = {ceil_div(parts * width, AddFound::kThreads)}});
}

// A block goes over factors of one head: the scores (rows, channels) of it. Each thread counts what it meets by itself.
template <class T, int N, class Act>
struct SumGates {
    static constexpr int kThreads = 128, kWarps = kThreads / kWarp;
    Global<double> found;  // (heads, blocks, numbers)
    Global<const T> s;
    int64_t rows, channels, stride;
    FactorMath<Act, float> factor;

    DEVICE void operator()() const {
        SHARED(int32_t, counts, kGateBins * kThreads);
        for (int b = 0; b < kGateBins; b++) counts[b * kThreads + thread()] = 0;
        double sum = 0, under[3] = {0, 0, 0};
        const int64_t head = block_y(), step = grid_x() * kThreads * N;
        for (int64_t i = (block_x() * kThreads + thread()) * N; i < rows * channels; i += step) {
            const Vec<T, N> score = load<N>(s + (i / channels * stride + head * channels + i % channels));
            for (int e = 0; e < N; e++) {
                const float g = factor.value(float(score[e]), Logistic{});
                sum += double(g);
                count_small_gate(under, g);
                const int at = gate_bin(g) * kThreads + thread();
                counts[at] = int32_t(counts[at]) + 1;
            }
        }
        const auto mine = found + (head * grid_x() + block_x()) * kNumbers<GateSums>;
        sum = block_sum<kThreads>(sum);
        for (int u = 0; u < 3; u++) under[u] = block_sum<kThreads>(under[u]);
        if (thread() == 0) {
            mine[1] = sum;
            for (int u = 0; u < 3; u++) mine[2 + u] = under[u];
        }
        block_barrier();
        for (int b = warp(); b < kGateBins; b += kWarps) {
            int32_t of_lane = 0;
            for (int t = lane(); t < kThreads; t += kWarp) of_lane += int32_t(counts[b * kThreads + t]);
            const int32_t all = warp_sum(of_lane);
            if (lane() == 0) mine[5 + b] = double(all);
        }
    }
};

// A block goes over tokens of one head, a warp a token.
template <class T, int N>
struct SumAttention {
    static constexpr int kThreads = 256, kWarps = kThreads / kWarp;
    Global<double> found;  // (heads, blocks, numbers)
    Global<const float> lse, largest;
    Global<const T> mean_k, q, k;
    int64_t q_stride, k_stride;
    Global<const int32_t> doc_start;
    AttentionShape n;

    DEVICE void operator()() const {
        double all_first = 0, all_entropy = 0;
        float all_largest = -std::numeric_limits<float>::infinity();
        const int64_t head = block_y(), tokens = n.sequences * n.length;
        for (int64_t token = block_x() * kWarps + warp(); token < tokens; token += grid_x() * kWarps) {
            const int64_t sequence = token / n.length, t = token % n.length;
            const int64_t first = first_seen<int64_t>(t, doc_start ? int32_t(doc_start[token]) : 0, n.window);
            const int64_t key = (sequence * n.length + std::max<int64_t>(first, 0)) * k_stride;
            const auto query = q + (token * q_stride + head * n.dim), mean = mean_k + (token * n.heads + head) * n.dim;
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
            const int64_t row = (sequence * n.heads + head) * n.length + t;
            const float scale = float(n.scale), log_sum = lse[row];
            if (first >= 0) all_first += double(exponential(scale * score - log_sum));
            all_entropy += double(softmax_entropy(log_sum, scale * mean_score));
            all_largest = larger_of(all_largest, float(largest[row]));
        }
        all_first = block_sum<kThreads>(all_first);
        all_entropy = block_sum<kThreads>(all_entropy);
        all_largest = block_max<kThreads>(all_largest);
        if (thread() > 0) return;
        const auto mine = found + (head * grid_x() + block_x()) * kNumbers<AttentionSums>;
        mine[1] = all_first;
        mine[2] = all_entropy;
        mine[3] = double(all_largest);
    }
};

// A warp takes a query and one key after another, and adds up the weights of its heads.
template <class T>
struct MapAttention {
    static constexpr int kThreads = 128, kWarps = kThreads / kWarp;
    Global<float> map;
    Global<const float> lse;
    Global<const T> q, k;
    int64_t q_stride, k_stride;
    Global<const int32_t> doc_start;
    int64_t tokens;
    AttentionShape n;

    DEVICE void operator()() const {
        const int64_t t = block_x() * kWarps + warp();
        if (t >= tokens) return;
        const int64_t document = doc_start ? int32_t(doc_start[t]) : 0;
        for (int64_t u = 0; u < tokens; u++) {
            float sum = 0;
            for (int64_t h = 0; h < n.heads && sees<int64_t>(t, u, document, n.window); h++) {
                const auto query = q + (t * q_stride + h * n.dim);
                const auto key = k + (u * k_stride + h / (n.heads / n.kv_heads) * n.dim);
                float score = 0;
                for (int64_t i = lane(); i < n.dim; i += kWarp) score += float(query[i]) * float(key[i]);
                sum += exponential(float(n.scale) * warp_sum(score) - float(lse[h * n.length + t]));
            }
            if (lane() == 0) map[t * tokens + u] = sum;
        }
    }
};

// A block goes over numbers of one head.
template <class T, int N>
struct SumMagnitudes {
    static constexpr int kThreads = 256;
    Global<double> found;  // (heads, blocks, numbers)
    Global<const T> x;
    int64_t rows, heads, channels;
    float factor;

    DEVICE void operator()() const {
        double sum = 0, under[2] = {0, 0};
        float largest = 0;
        const int64_t head = block_y(), step = grid_x() * kThreads * N;
        for (int64_t i = (block_x() * kThreads + thread()) * N; i < rows * channels; i += step) {
            const Vec<T, N> v = load<N>(x + ((i / channels * heads + head) * channels + i % channels));
            for (int e = 0; e < N; e++) {
                const float m = magnitude(factor * float(v[e]));
                sum += double(m);
                count_small(under, m);
                largest = larger_of(largest, m);
            }
        }
        sum = block_sum<kThreads>(sum);
        for (int u = 0; u < 2; u++) under[u] = block_sum<kThreads>(under[u]);
        largest = block_max<kThreads>(largest);
        if (thread() > 0) return;
        const auto mine = found + (head * grid_x() + block_x()) * kNumbers<MagnitudeSums>;
        mine[1] = sum;
        for (int u = 0; u < 2; u++) mine[2 + u] = under[u];
        mine[4] = double(largest);
    }
};

Op attention_op(const char* name, Stream stream, const AttentionShape& n, const Work& work) {
    return Op(name, stream, {{"sequences", n.sequences}, {"length", n.length}, {"heads", n.heads}, {"dim", n.dim}},
              work);
}

}  // namespace

template <class B>
void gate_sums(Stream stream, GateSums* sums, const typename B::T* s, const GateShape& n, Factor factor) {
    using T = typename B::T;
    const int64_t rows = n.score_rows(), heads = n.score_heads(), channels = n.score_channels();
    if (rows * heads * channels == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}},
                moved<B>(rows, heads * channels, 1));
    with_activation(factor.activation, [&]<class Act>(Act) {
        const FactorMath<Act, float> math{float(factor.scale)};
        with_width<T>(vector_width_of<T>({channels, n.stride.row}, s), [&](auto wide) {
            using Kernel = SumGates<T, wide(), Act>;
            constexpr int64_t kLoads = 16;  // of a thread, so that what blocks leave is little beside what they read
            const int64_t blocks = std::min(ceil_div(kMostBlocks, heads),
                                            ceil_div(rows * channels, kLoads * Kernel::kThreads * int64_t(wide())));
            double* found = op.template scratch<double>(heads * blocks * kNumbers<GateSums>);
            op.launch(Kernel{found, s, rows, channels, n.stride.row, math}, {.grid = {blocks, heads}});
            add_found(op, sums, found, heads, blocks, -1, double(rows * channels));
        });
    });
}

template <class B>
void attention_sums(Stream stream, AttentionSums* sums, const typename B::A* lse, const typename B::T* mean_k,
                    const typename B::A* largest, Rows<const typename B::T> q, Rows<const typename B::T> k,
                    const int32_t* doc_start, const AttentionShape& n) {
    using T = typename B::T;
    const int64_t tokens = n.sequences * n.length;
    if (tokens == 0) return;
    const Op op = attention_op(__func__, stream, n, moved<B>(tokens, n.heads * n.dim, 3));
    constexpr int kWide = 4;  // a head of 128 is a warp's
    const bool wide =
        vector_width<T>(n.dim, mean_k, q.data, k.data) >= kWide && q.stride % kWide == 0 && k.stride % kWide == 0;
    const int64_t blocks = std::min(ceil_div(kMostBlocks, n.heads), ceil_div(tokens, SumAttention<T, 1>::kWarps));
    double* found = op.template scratch<double>(n.heads * blocks * kNumbers<AttentionSums>);
    const auto launch = [&](auto width) {
        op.launch(
            SumAttention<T, width()>{found, lse, largest, mean_k, q.data, k.data, q.stride, k.stride, doc_start, n},
            {.grid = {blocks, n.heads}});
    };
    if (wide)
        launch(std::integral_constant<int, kWide>());
    else
        launch(std::integral_constant<int, 1>());
    add_found(op, sums, found, n.heads, blocks, 3, double(tokens));
}

template <class B>
void attention_map(Stream stream, typename B::A* map, const typename B::A* lse, Rows<const typename B::T> q,
                   Rows<const typename B::T> k, const int32_t* doc_start, int64_t tokens, const AttentionShape& n) {
    if (tokens == 0) return;
    using Kernel = MapAttention<typename B::T>;
    attention_op(__func__, stream, n, moved<B>(tokens, tokens, 1))
        .launch(Kernel{map, lse, q.data, k.data, q.stride, k.stride, doc_start, tokens, n},
                {.grid = {ceil_div(tokens, Kernel::kWarps)}});
}

template <class B>
void magnitude_sums(Stream stream, MagnitudeSums* sums, const typename B::T* x, int64_t rows, int64_t heads,
                    int64_t channels, double factor) {
    using T = typename B::T;
    if (rows * heads * channels == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}},
                moved<B>(rows, heads * channels, 1));
    with_width<T>(vector_width<T>(channels, x), [&](auto wide) {
        using Kernel = SumMagnitudes<T, wide()>;
        const int64_t blocks =
            std::min(ceil_div(kMostBlocks, heads), ceil_div(rows * channels, Kernel::kThreads * wide()));
        double* found = op.template scratch<double>(heads * blocks * kNumbers<MagnitudeSums>);
        op.launch(Kernel{found, x, rows, heads, channels, float(factor)}, {.grid = {blocks, heads}});
        add_found(op, sums, found, heads, blocks, 4, double(rows * channels));
    });
}

#define INSTANTIATE(B)                                                                                               \
    template void gate_sums<B>(Stream, GateSums*, const B::T*, const GateShape&, Factor);                            \
    template void attention_sums<B>(Stream, AttentionSums*, const B::A*, const B::T*, const B::A*, Rows<const B::T>, \
                                    Rows<const B::T>, const int32_t*, const AttentionShape&);                        \
    template void attention_map<B>(Stream, B::A*, const B::A*, Rows<const B::T>, Rows<const B::T>, const int32_t*,   \
                                   int64_t, const AttentionShape&);                                                  \
    template void magnitude_sums<B>(Stream, MagnitudeSums*, const B::T*, int64_t, int64_t, int64_t, double);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
