// Muon: momentum, orthogonalization by Newton-Schulz steps, and the update of weights. Here rows and columns are of one
// weight matrix. The host waits for nothing: the norm that a matrix is divided by stays on the device.
#include <algorithm>
#include <utility>

#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/cuda/product.cuh"
#include "kernels/muon_math.h"
#include "kernels/ops.h"

namespace sluice {
namespace {

constexpr int kMuonThreads = 256;

// A thread does N elements.
template <class T, int N>
struct MuonMomentumStep {
    static constexpr int kThreads = kMuonThreads;
    Global<T> u;
    Global<float> b;
    Global<const float> g;
    int64_t count;
    float momentum, scale;

    DEVICE void operator()() const {
        const int64_t i = (block_x() * kThreads + thread()) * N;
        if (i >= count) return;
        const Vec<float, N> old = load<N>(b + i), gradient = load<N>(g + i);
        Vec<float, N> next;
        Vec<T, N> update;
        for (int e = 0; e < N; e++) {
            const MuonMomentum<float> m = muon_momentum_of(old[e], gradient[e], momentum, scale);
            next[e] = m.b;
            update[e] = T(m.u);
        }
        store<N>(b + i, next);
        store<N>(u + i, update);
    }
};

// partials (grid) = the sum of x^2 over each block's elements: thread after thread, all blocks' threads in turn.
template <class T, int N>
struct SumOfSquares {
    static constexpr int kThreads = kMuonThreads;
    Global<double> partials;
    Global<const T> x;
    int64_t count;

    DEVICE void operator()() const {
        double sum = 0;
        for (int64_t i = (block_x() * kThreads + thread()) * N; i < count; i += grid_x() * kThreads * N) {
            const Vec<T, N> v = load<N>(x + i);
            for (int e = 0; e < N; e++) sum += double(float(v[e])) * double(float(v[e]));
        }
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) partials[block_x()] = sum;
    }
};

// y = x / (norm + epsilon), of the norm whose square is the sum of partials (parts), parts <= kThreads: every block
// adds them up for itself, in the same order.
template <class T, int N>
struct DivideByNorm {
    static constexpr int kThreads = kMuonThreads;
    Global<T> y;
    Global<const T> x;
    Global<const double> partials;
    int64_t count, parts;

    DEVICE void operator()() const {
        const double part = thread() < parts ? double(partials[thread()]) : 0;
        const double norm = square_root(block_sum<kThreads>(part));
        const float scale = float(1 / (norm + NewtonSchulz::epsilon));
        const int64_t i = (block_x() * kThreads + thread()) * N;
        if (i >= count) return;
        Vec<T, N> v = load<N>(x + i);
        for (int e = 0; e < N; e++) v[e] = T(scale * float(v[e]));
        store<N>(y + i, v);
    }
};

// w and, where it is not null, master (rows, width); x has rows of its own stride. A thread does N elements of a row.
template <class T, int N>
struct MuonUpdate {
    static constexpr int kThreads = kMuonThreads;
    Global<T> w;
    Global<float> master;
    Global<const T> x;
    int64_t stride, count, width;
    float decay, rate;

    DEVICE void operator()() const {
        const int64_t i = (block_x() * kThreads + thread()) * N;
        if (i >= count) return;
        const Vec<T, N> direction = load<N>(x + (i / width * stride + i % width));
        Vec<float, N> next;
        if (master) {
            next = load<N>(master + i);
        } else {
            const Vec<T, N> old = load<N>(w + i);
            for (int e = 0; e < N; e++) next[e] = float(old[e]);
        }
        Vec<T, N> rounded;
        for (int e = 0; e < N; e++) {
            next[e] = muon_updated(next[e], float(direction[e]), decay, rate);
            rounded[e] = T(next[e]);
        }
        if (master) store<N>(master + i, next);
        store<N>(w + i, rounded);
    }
};

template <class T, int N>
struct CopyRows {
    static constexpr int kThreads = kMuonThreads;
    Global<T> y;
    Global<const T> x;
    int64_t y_stride, x_stride, count, width;
    bool add;

    DEVICE void operator()() const {
        const int64_t i = (block_x() * kThreads + thread()) * N;
        if (i >= count) return;
        const int64_t row = i / width, column = i - row * width;
        const Global<T> to = y + (row * y_stride + column);
        auto v = load<N>(x + (row * x_stride + column));
        if (add) {
            const auto before = load<N>(to);
            for (int j = 0; j < N; j++) v[j] = T(float(before[j]) + float(v[j]));
        }
        store<N>(to, v);
    }
};

// The grid where a thread does n elements.
Grid blocks(int64_t count, int64_t n) { return {ceil_div(count, kMuonThreads * n)}; }

// next = a x + (b A + c A A) x with A = x x^T; if rows > columns, next = a x + x (b A + c A A) with A = x^T x: the
// smaller of the two squares. next, x (rows, columns). Scratch: gram (n, n) for A, polynomial (n, n) for b A + c A A, n
// = min(rows, columns). gram and polynomial are symmetric, but for the order of sums, and so may stand transposed where
// that is faster to read.
template <class T>
void newton_schulz_step(const Op& op, Stream stream, T* next, const T* x, T* gram, T* polynomial, int64_t rows,
                        int64_t columns) {
    using Shape = ProductShape<T, T>;
    constexpr Fastest kDepth = Fastest::depth, kSide = Fastest::side;
    constexpr float a = NewtonSchulz::a, b = NewtonSchulz::b, c = NewtonSchulz::c;
    const bool wide = rows <= columns;
    const int64_t n = std::min(rows, columns);
    if (wide)
        product<kDepth, kDepth>(op, stream, Shape{gram, x, x, n, n, columns, rounds(stream)});  // x x^T
    else
        product<kSide, kSide>(op, stream, Shape{gram, x, x, n, n, rows, rounds(stream)});  // x^T x
    product<kDepth, kDepth>(op, stream, Shape{polynomial, gram, gram, n, n, n, rounds(stream), gram, b, c});
    if (wide)
        product<kDepth, kSide>(op, stream, Shape{next, polynomial, x, n, columns, n, rounds(stream), x, a});
    else
        product<kDepth, kDepth>(op, stream, Shape{next, x, polynomial, rows, n, n, rounds(stream), x, a});
}

// launch(std::integral_constant<int, N>) with N = n, which is 4 or 1.
template <class Launch>
void with_width(int64_t n, Launch launch) {
    if (n == 4)
        launch(std::integral_constant<int, 4>());
    else
        launch(std::integral_constant<int, 1>());
}
// How many elements a thread takes of rows of T: 4 where they may be one access, of floats beside them too, else 1.
template <class T, class... P>
int64_t four_of(int64_t width, const P*... p) {
    return vector_width<T>(width, p...) > 1 ? 4 : 1;
}

}  // namespace

template <class B>
void muon_momentum(Stream stream, typename B::T* u, typename B::A* b, const typename B::G* g, int64_t count,
                   double momentum, double gradient_scale) {
    if (count == 0) return;
    using T = typename B::T;
    const Op op(__func__, stream, {{"count", count}}, moved<B>(1, count, 4));
    with_width(four_of<T>(count, u, b, g), [&]<int N>(std::integral_constant<int, N>) {
        op.launch(MuonMomentumStep<T, N>{u, b, g, count, float(momentum), float(gradient_scale)},
                  {.grid = blocks(count, N)});
    });
}

template <class B>
void orthogonalize(Stream stream, typename B::T* x, int64_t rows, int64_t columns, typename B::T* scratch) {
    using T = typename B::T;
    const int64_t count = rows * columns, n = std::min(rows, columns);
    if (count == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"columns", columns}});
    T* next = scratch;             // (rows, columns)
    T* gram = next + count;        // (n, n)
    T* polynomial = gram + n * n;  // (n, n)
    with_width(four_of<T>(count, x, next), [&]<int N>(std::integral_constant<int, N>) {
        const int64_t parts = std::min<int64_t>(kMuonThreads, blocks(count, 8 * N).x);
        double* partials = op.scratch<double>(parts);
        op.launch(SumOfSquares<T, N>{partials, x, count}, {.grid = {parts}});
        op.launch(DivideByNorm<T, N>{next, x, partials, count, parts}, {.grid = blocks(count, N)});
    });
    // Steps go to and fro: the first from `scratch` to x, and as their number is odd, so does the last.
    T *from = next, *to = x;
    for (int step = 0; step < NewtonSchulz::steps; step++) {
        newton_schulz_step(op, stream, to, from, gram, polynomial, rows, columns);
        std::swap(from, to);
    }
}

template <class B>
void muon_update(Stream stream, typename B::T* w, typename B::A* master, Rows<const typename B::T> x, int64_t rows,
                 int64_t width, double lr, double scale, double weight_decay) {
    const int64_t count = rows * width;
    if (count == 0) return;
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 3));
    const int64_t n = std::min(four_of<T>(width, w, master, x.data), four_of<T>(x.stride));
    with_width(n, [&]<int N>(std::integral_constant<int, N>) {
        op.launch(MuonUpdate<T, N>{w, master, x.data, x.stride, count, width, float(1 - lr * weight_decay),
                                   float(lr * scale)},
                  {.grid = blocks(count, N)});
    });
}

template <class B>
void copy_rows(Stream stream, Rows<typename B::T> y, Rows<const typename B::T> x, int64_t rows, int64_t width,
               Into into) {
    const int64_t count = rows * width;
    if (count == 0) return;
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, into == Into::add ? 3 : 2));
    const auto launch = [&]<int N>(std::integral_constant<int, N>) {
        op.launch(CopyRows<T, N>{y.data, x.data, y.stride, x.stride, count, width, into == Into::add},
                  {.grid = blocks(count, N)});
    };
    if (std::min({vector_width<T>(width, x.data, y.data), vector_width<T>(y.stride), vector_width<T>(x.stride)}) > 1)
        launch(std::integral_constant<int, 16 / sizeof(T)>());
    else
        launch(std::integral_constant<int, 1>());
}

#define INSTANTIATE(B)                                                                                              \
    template void muon_momentum<B>(Stream, B::T*, B::A*, const B::G*, int64_t, double, double);                     \
    template void orthogonalize<B>(Stream, B::T*, int64_t, int64_t, B::T*);                                         \
    template void muon_update<B>(Stream, B::T*, B::A*, Rows<const B::T>, int64_t, int64_t, double, double, double); \
    template void copy_rows<B>(Stream, Rows<B::T>, Rows<const B::T>, int64_t, int64_t, Into);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
