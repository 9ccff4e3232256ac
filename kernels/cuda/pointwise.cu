// Pointwise ops: a thread makes one piece of N elements, the width of an access, of each output. Formulas are those of
// kernels/gate_math.h, swiglu_math.h and residual_math.h.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/gate_math.h"
#include "kernels/ops.h"
#include "kernels/residual_math.h"
#include "kernels/swiglu_math.h"

namespace sluice {
namespace {

// ---------------------------------------------------------------- one output, of one input or two
template <class Act>
struct ActivationValue {
    DEVICE float operator()(float x) const { return Act::value(x, Logistic()); }
};
template <class Act>
struct ActivationGradient {
    DEVICE float operator()(float dy, float x) const { return dy * Act::slope(x, Logistic()); }
};
struct Copy {
    DEVICE float operator()(float x) const { return x; }
};
struct Residual {
    float limit;
    DEVICE float operator()(float x, float y) const { return residual_value(x, y, limit); }
};
struct ResidualGradient {
    float limit;
    DEVICE float operator()(float dout, float y) const { return residual_gradient(dout, y, limit); }
};

// out (count) = formula(a) or formula(a, b). out may be a or b.
template <class T, int N, class Formula>
struct Pointwise {
    static constexpr int kThreads = 256;
    static constexpr bool kBinary = std::is_invocable_v<Formula, float, float>;
    Global<T> out;
    Global<const T> a, b;
    int64_t count;
    Formula formula;

    DEVICE void operator()() const {
        const int64_t i = (block_x() * kThreads + thread()) * N;
        if (i >= count) return;
        Vec<T, N> v = load<N>(a + i), second{};
        if constexpr (kBinary) second = load<N>(b + i);
        for (int j = 0; j < N; j++) {
            if constexpr (kBinary)
                v[j] = T(formula(float(v[j]), float(second[j])));
            else
                v[j] = T(formula(float(v[j])));
        }
        store<N>(out + i, v);
    }
};

// arrays: that are read or written.
template <class T, class Formula>
void launch_pointwise(const char* name, Stream stream, T* out, const T* a, const T* b, int64_t count, int64_t arrays,
                      Formula formula) {
    if (count == 0) return;
    const Op op(name, stream, {{"count", count}}, moved<T>(1, count, arrays));
    with_width<T>(vector_width<T>(count, out, a, b), [&]<int N>(std::integral_constant<int, N>) {
        using Kernel = Pointwise<T, N, Formula>;
        op.launch(Kernel{out, a, b, count, formula}, {.grid = {ceil_div(count, N * Kernel::kThreads)}});
    });
}

// ---------------------------------------------------------------- SwiGLU
// A warp takes a strip of a row: block_x counts blocks of rows, block_y strips.
constexpr int kRowsOfBlock = 8;
template <int N>
struct Strip {
    static constexpr int kThreads = kRowsOfBlock * kWarp;
    static constexpr int64_t kWidth = kWarp * N;

    DEVICE static int64_t row() { return block_x() * kRowsOfBlock + warp(); }
    DEVICE static int64_t first() { return block_y() * kWidth + lane() * N; }
    static LaunchShape shape(int64_t rows, int64_t width) {
        return {.grid = {ceil_div(rows, kRowsOfBlock), ceil_div(width, kWidth)}};
    }
};

// h = weight silu(gate) up of N channels.
template <class T, int N>
DEVICE Vec<T, N> swiglu_of(const Vec<T, N>& gate, const Vec<T, N>& up, float weight) {
    Vec<T, N> h;
    for (int j = 0; j < N; j++) {
        const float s = float(gate[j]);
        h[j] = T(swiglu_value(s, float(up[j]), Logistic()(s), weight));
    }
    return h;
}
// Makes gate and up their gradients; returns the gradient of the weight.
template <class T, int N>
DEVICE float swiglu_backward_of(Vec<T, N>& gate, Vec<T, N>& up, const Vec<T, N>& dh, float weight) {
    float dweight = 0;
    for (int j = 0; j < N; j++) {
        const float s = float(gate[j]), u = float(up[j]), d = float(dh[j]), g = Logistic()(s);
        dweight += swiglu_value(s, u, g, d);
        const SwigluGradient<float> gradient = swiglu_gradient(weight * d, s, u, g);
        gate[j] = T(gradient.gate);
        up[j] = T(gradient.up);
    }
    return dweight;
}

template <class T, int N>
struct SwigluForward {
    static constexpr int kThreads = Strip<N>::kThreads;
    Global<T> h;
    Global<const T> gate, up;     // of the first row; rows are `stride` apart
    Global<const float> weights;  // (rows); null: 1
    int64_t rows, width, stride;

    DEVICE void operator()() const {
        const int64_t row = Strip<N>::row(), i = Strip<N>::first();
        if (row >= rows || i >= width) return;
        const float weight = weights ? float(weights[row]) : 1.0f;
        const int64_t at = row * stride + i;
        store<N>(h + row * width + i, swiglu_of<T, N>(load<N>(gate + at), load<N>(up + at), weight));
    }
};

template <class T, int N>
struct SwigluBackward {
    static constexpr int kThreads = Strip<N>::kThreads;
    Global<T> dgate, dup;
    Global<const T> dh, gate, up;
    int64_t rows, width, stride;

    DEVICE void operator()() const {
        const int64_t row = Strip<N>::row(), i = Strip<N>::first();
        if (row >= rows || i >= width) return;
        const int64_t at = row * stride + i;
        Vec<T, N> g = load<N>(gate + at), u = load<N>(up + at);
        swiglu_backward_of<T, N>(g, u, load<N>(dh + row * width + i), 1);
        store<N>(dgate + at, g);
        store<N>(dup + at, u);
    }
};

// A warp, or a block where rows are long, takes a row, as dweight is its sum.
template <class T, int N, bool kWholeBlock>
struct WeightedSwigluBackward {
    static constexpr int kThreads = 256, kLanes = kWholeBlock ? kThreads : kWarp;
    Global<T> dgate, dup;
    Global<float> dweights;
    Global<const T> dh, gate, up;
    Global<const float> weights;
    int64_t rows, width;

    DEVICE void operator()() const {
        const int64_t row = block_x() * (kThreads / kLanes) + thread() / kLanes;
        const bool here = row < rows;
        const float weight = here ? float(weights[row]) : 0.0f;
        float dweight = 0;
        for (int64_t i = thread() % kLanes * N; here && i < width; i += kLanes * N) {
            const int64_t at = row * width + i;
            Vec<T, N> g = load<N>(gate + at), u = load<N>(up + at);
            dweight += swiglu_backward_of<T, N>(g, u, load<N>(dh + at), weight);
            store<N>(dgate + at, g);
            store<N>(dup + at, u);
        }
        if constexpr (kWholeBlock)
            dweight = block_sum<kThreads>(dweight);
        else
            dweight = warp_sum(dweight);
        if (here && thread() % kLanes == 0) dweights[row] = dweight;
    }
};

}  // namespace

template <class B>
void activation_forward(Stream stream, typename B::T* y, const typename B::T* x, int64_t count, Activation act) {
    const char* name = __func__;
    with_activation(act, [&]<class Act>(Act) {
        launch_pointwise<typename B::T>(name, stream, y, x, nullptr, count, 2, ActivationValue<Act>());
    });
}

template <class B>
void activation_backward(Stream stream, typename B::T* dx, const typename B::T* dy, const typename B::T* x,
                         int64_t count, Activation act) {
    const char* name = __func__;
    with_activation(act, [&]<class Act>(Act) {
        launch_pointwise<typename B::T>(name, stream, dx, dy, x, count, 3, ActivationGradient<Act>());
    });
}

template <class B>
void swiglu_forward(Stream stream, typename B::T* h, const typename B::T* gate_up, int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 3));
    with_width<T>(vector_width<T>(width, h, gate_up), [&]<int N>(std::integral_constant<int, N>) {
        op.launch(SwigluForward<T, N>{h, gate_up, gate_up + width, nullptr, rows, width, 2 * width},
                  Strip<N>::shape(rows, width));
    });
}

template <class B>
void swiglu_backward(Stream stream, typename B::T* dgate_up, const typename B::T* dh, const typename B::T* gate_up,
                     int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 5));
    with_width<T>(vector_width<T>(width, dgate_up, dh, gate_up), [&]<int N>(std::integral_constant<int, N>) {
        op.launch(
            SwigluBackward<T, N>{dgate_up, dgate_up + width, dh, gate_up, gate_up + width, rows, width, 2 * width},
            Strip<N>::shape(rows, width));
    });
}

template <class B>
void weighted_swiglu_forward(Stream stream, typename B::T* h, const typename B::T* gate, const typename B::T* up,
                             const typename B::A* weight, int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, ragged(moved<B>(rows, width, 3)));
    with_width<T>(vector_width<T>(width, h, gate, up), [&]<int N>(std::integral_constant<int, N>) {
        op.launch(SwigluForward<T, N>{h, gate, up, weight, rows, width, width}, Strip<N>::shape(rows, width));
    });
}

template <class B>
void weighted_swiglu_backward(Stream stream, typename B::T* dgate, typename B::T* dup, typename B::A* dweight,
                              const typename B::T* dh, const typename B::T* gate, const typename B::T* up,
                              const typename B::A* weight, int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, ragged(moved<B>(rows, width, 5)));
    with_width<T>(vector_width<T>(width, dgate, dup, dh, gate, up), [&]<int N>(std::integral_constant<int, N>) {
        const auto launch = [&]<bool kWholeBlock>(std::bool_constant<kWholeBlock>) {
            using Kernel = WeightedSwigluBackward<T, N, kWholeBlock>;
            op.launch(Kernel{dgate, dup, dweight, dh, gate, up, weight, rows, width},
                      {.grid = {ceil_div(rows, Kernel::kThreads / Kernel::kLanes)}});
        };
        if (width > 4 * kWarp * N)
            launch(std::true_type());
        else
            launch(std::false_type());
    });
}

template <class B>
void residual_forward(Stream stream, typename B::T* out, const typename B::T* x, const typename B::T* y, int64_t count,
                      double clip) {
    const float limit = clip == 0 ? std::numeric_limits<float>::infinity() : float(clip);
    launch_pointwise(__func__, stream, out, x, y, count, 3, Residual{limit});
}

template <class B>
void residual_backward(Stream stream, typename B::T* dy, const typename B::T* dout, const typename B::T* y,
                       int64_t count, double clip) {
    if (clip != 0)
        launch_pointwise(__func__, stream, dy, dout, y, count, 3, ResidualGradient{float(clip)});
    else if (dy != dout)
        launch_pointwise<typename B::T>(__func__, stream, dy, dout, nullptr, count, 2, Copy());
}

template <class B>
void add(Stream stream, typename B::T* x, const typename B::T* y, int64_t count) {
    const float no_limit = std::numeric_limits<float>::infinity();
    launch_pointwise<typename B::T>(__func__, stream, x, x, y, count, 3, Residual{no_limit});
}

#define INSTANTIATE(B)                                                                                                \
    template void activation_forward<B>(Stream, B::T*, const B::T*, int64_t, Activation);                             \
    template void activation_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, Activation);               \
    template void swiglu_forward<B>(Stream, B::T*, const B::T*, int64_t, int64_t);                                    \
    template void swiglu_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t);                      \
    template void weighted_swiglu_forward<B>(Stream, B::T*, const B::T*, const B::T*, const B::A*, int64_t, int64_t); \
    template void weighted_swiglu_backward<B>(Stream, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::T*,     \
                                              const B::A*, int64_t, int64_t);                                         \
    template void residual_forward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, double);                      \
    template void residual_backward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, double);                     \
    template void add<B>(Stream, B::T*, const B::T*, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
