// AdamW, the rounding of masters to weights, and the sum of squares that the clip needs. A span is a block's work: its
// threads take neighbouring pieces of 4 elements where all that the span reads and writes is aligned, else single ones.
#include "kernels/adamw_math.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/ops.h"

namespace sluice {
namespace {

constexpr int kPiece = 4;  // elements: 16 bytes of float

// ---------------------------------------------------------------- sum of squares
// Squares of floats are exact in double. partials (spans) = each span's sum.
struct SquaresOfSpans {
    static constexpr int kThreads = 256;
    Global<double> partials;
    Global<const float> x;
    Global<const Span> spans;
    bool aligned;  // x

    DEVICE void operator()() const {
        const Span span = spans[block_x()];
        const Global<const float> begin = x + span.offset;
        const int64_t whole = aligned && span.offset % kPiece == 0 ? span.count / kPiece * kPiece : 0;
        double sum = 0;
        for (int64_t i = thread() * kPiece; i < whole; i += kThreads * kPiece) {
            const Vec<float, kPiece> piece = load<kPiece>(begin + i);
            for (int n = 0; n < kPiece; n++) sum += double(piece[n]) * double(piece[n]);
        }
        for (int64_t i = whole + thread(); i < span.count; i += kThreads) {
            const float element = begin[i];
            sum += double(element) * double(element);
        }
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) partials[block_x()] = sum;
    }
};

// *total += the sum of partials (count), by one block: each thread adds a run of them in order, then the threads' sums
// are added.
struct AddPartials {
    static constexpr int kThreads = 1024;
    Global<double> total;
    Global<const double> partials;
    int64_t count;

    DEVICE void operator()() const {
        const int64_t run = (count + kThreads - 1) / kThreads;
        const int64_t begin = thread() * run, end = begin + run < count ? begin + run : count;
        double sum = 0;
        for (int64_t i = begin; i < end; i++) sum += double(partials[i]);
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) total[0] += sum;
    }
};

// ---------------------------------------------------------------- rounding
// w (pieces, N) = master (pieces, N), rounded.
template <class T, int N>
struct RoundWeights {
    static constexpr int kThreads = 256;
    Global<T> w;
    Global<const float> master;
    int64_t pieces;

    DEVICE void operator()() const {
        const int64_t piece = block_x() * kThreads + thread();
        if (piece >= pieces) return;
        const Vec<float, N> from = load<N>(master + piece * N);
        Vec<T, N> rounded;
        for (int n = 0; n < N; n++) rounded[n] = T(from[n]);
        store<N>(w + piece * N, rounded);
    }
};

// ---------------------------------------------------------------- AdamW
template <class T>
struct AdamWOfSpans {
    static constexpr int kThreads = 256;
    Global<T> w;
    Global<float> master;  // null: w is its own
    Global<float> m, v;
    Global<const float> g;
    Global<const AdamWSpan> spans;
    AdamWMath<float> math;
    bool aligned;  // all arrays

    // Elements i .. i + N - 1 of a span.
    template <int N>
    DEVICE void update(const AdamWSpan& span, int64_t i) const {
        const int64_t state = span.state + i, weight = span.weights + i;
        Vec<float, N> old, m_piece = load<N>(m + state), v_piece = load<N>(v + state);
        const Vec<float, N> g_piece = load<N>(g + (span.gradients + i));
        if constexpr (std::is_same_v<T, float>)
            old = load<N>(w + weight);
        else
            old = load<N>(master + state);
        Vec<T, N> rounded;
        for (int n = 0; n < N; n++) {
            old[n] = math.update(old[n], m_piece[n], v_piece[n], g_piece[n], math.kept(span.decays));
            rounded[n] = T(old[n]);
        }
        store<N>(m + state, m_piece);
        store<N>(v + state, v_piece);
        store<N>(w + weight, rounded);
        if constexpr (!std::is_same_v<T, float>) store<N>(master + state, old);
    }

    DEVICE void operator()() const {
        const AdamWSpan span = spans[block_x()];
        const bool wide =
            aligned && span.weights % kPiece == 0 && span.gradients % kPiece == 0 && span.state % kPiece == 0;
        const int64_t whole = wide ? span.count / kPiece * kPiece : 0;
        for (int64_t i = thread() * kPiece; i < whole; i += kThreads * kPiece) update<kPiece>(span, i);
        for (int64_t i = whole + thread(); i < span.count; i += kThreads) update<1>(span, i);
    }
};

}  // namespace

template <class B>
void sum_of_squares(Stream stream, double* total, const typename B::G* x, const Span* spans, int64_t count) {
    if (count == 0) return;
    const Op op(__func__, stream, {{"spans", count}});
    double* partials = op.template scratch<double>(count);
    op.launch(SquaresOfSpans{partials, x, spans, vector_width<float>(kPiece, x) == kPiece}, {.grid = {count}});
    op.launch(AddPartials{total, partials, count}, {.grid = {1}});
}

// Where T is A there are no masters, and weights are what they are.
template <class B>
void round_weights(Stream stream, typename B::T* w, const typename B::A* master, int64_t count) {
    using T = typename B::T;
    if constexpr (!std::is_same_v<T, typename B::A>) {
        const Op op(__func__, stream, {{"count", count}}, moved<B>(1, count, 2));
        const auto launch = [&]<int N>(int64_t begin, int64_t pieces) {
            using Kernel = RoundWeights<T, N>;
            op.launch(Kernel{w + begin, master + begin, pieces}, {.grid = {ceil_div(pieces, Kernel::kThreads)}});
        };
        const bool aligned = vector_width<float>(kPiece, master) == kPiece && vector_width<T>(16, w) > 1;
        const int64_t whole = aligned ? count / kPiece * kPiece : 0;
        launch.template operator()<kPiece>(0, whole / kPiece);
        launch.template operator()<1>(whole, count - whole);
    }
}

template <class B>
void adamw(Stream stream, typename B::T* w, typename B::A* master, typename B::A* m, typename B::A* v,
           const typename B::G* g, const AdamWSpan* spans, int64_t count, const AdamW& n) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"spans", count}});
    const bool aligned = vector_width<float>(kPiece, master, m, v, g) == kPiece && vector_width<T>(16, w) > 1;
    op.launch(AdamWOfSpans<T>{w, master, m, v, g, spans, AdamWMath<float>(n), aligned}, {.grid = {count}});
}

#define INSTANTIATE(B)                                                                   \
    template void sum_of_squares<B>(Stream, double*, const B::G*, const Span*, int64_t); \
    template void round_weights<B>(Stream, B::T*, const B::A*, int64_t);                 \
    template void adamw<B>(Stream, B::T*, B::A*, B::A*, B::A*, const B::G*, const AdamWSpan*, int64_t, const AdamW&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
