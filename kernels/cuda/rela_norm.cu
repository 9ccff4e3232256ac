// ReLA's norm (arXiv 2104.07012): y = w z rstd s, with s = sigmoid(u z), or 1 without a gate. With g = dy w s:
//
//     dz = rstd (g - z rstd^2 mean(g z)) + dy w z rstd s (1 - s) u
//     dw = sum over rows of dy z rstd s,    du = sum over rows of dy w z rstd s (1 - s) z
//
// What is done to a number is in kernels/rela_math.h. The sums of a row are ops of their own, so no kernel holds a row.
// Each walks down the rows of a strip of columns, a piece of N columns a lane, with w and u of these in registers.
#include <algorithm>
#include <type_traits>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/ops.h"
#include "kernels/rela_math.h"

namespace sluice {
namespace {

// A block of kThreads that takes kRows rows, as many as a warp has lanes; its warps take strips in turn.
constexpr int kThreadsOfRows = 256, kRows = kWarp;
constexpr int kWarps = kThreadsOfRows / kWarp;

inline LaunchShape shape_of_rows(int64_t rows) { return {.grid = {ceil_div(rows, kRows)}}; }

// w and u of a piece of N channels.
template <class T, int N, bool kGated>
class Channels {
 public:
    DEVICE Channels(Global<const T> w, Global<const T> u, int64_t i, bool inside) {
        if (inside) w_ = load<N>(w + i);
        if (kGated && inside) u_ = load<N>(u + i);
    }
    DEVICE float w(int j) const { return float(w_[j]); }
    DEVICE float u(int j) const { return float(u_[j]); }
    DEVICE float gate(int j, float z) const { return kGated ? Logistic()(u(j) * z) : 1.0f; }

 private:
    Vec<T, N> w_{}, u_{};
};

// f(strip's piece of this lane, whether it has one) for the strips of this warp.
template <int N, class F>
DEVICE void each_strip(int64_t width, F f) {
    for (int64_t begin = warp() * kWarp * N; begin < width; begin += kThreadsOfRows * N) {
        const int64_t i = begin + lane() * N;
        f(i, i < width);
    }
}

// ---------------------------------------------------------------- sums of rows
// Terms of a row's sum: z^2, or g z. `channels` gives what they need of each column.
template <class T, int N>
struct Squares {
    Global<const T> z;

    DEVICE auto channels(int64_t, bool) const { return Channels<T, N, false>(nullptr, nullptr, 0, false); }
    DEVICE float sum(int64_t at, const Channels<T, N, false>&) const {
        const Vec<T, N> x = load<N>(z + at);
        float sum = 0;
        for (int j = 0; j < N; j++) sum += float(x[j]) * float(x[j]);
        return sum;
    }
};
template <class T, int N, bool kGated>
struct Dots {
    Global<const T> dy, z, w, u;

    DEVICE auto channels(int64_t i, bool inside) const { return Channels<T, N, kGated>(w, u, i, inside); }
    DEVICE float sum(int64_t at, const Channels<T, N, kGated>& c) const {
        const Vec<T, N> d = load<N>(dy + at), x = load<N>(z + at);
        float sum = 0;
        for (int j = 0; j < N; j++) sum += rela_dot(float(d[j]), float(x[j]), c.w(j), c.gate(j, float(x[j])));
        return sum;
    }
};

// sums (rows) = the sums of the terms over each row (width). Lane r of a warp keeps the warp's part of row r.
template <class Terms, int N>
struct RowSums {
    static constexpr int kThreads = kThreadsOfRows;
    Global<float> sums;
    Terms terms;
    int64_t rows, width;

    DEVICE void operator()() const {
        SHARED(float, of_warps, kThreads);
        const int64_t first = block_x() * kRows;
        const int count = int(std::min<int64_t>(kRows, rows - first));
        float mine = 0;
        each_strip<N>(width, [&](int64_t i, bool inside) {
            const auto channels = terms.channels(i, inside);
            for (int r = 0; r < count; r++) {
                const float sum = warp_sum(inside ? terms.sum((first + r) * width + i, channels) : 0.0f);
                if (lane() == r) mine += sum;
            }
        });
        of_warps[thread()] = mine;
        block_barrier();
        if (thread() >= count) return;
        for (int other = 1; other < kWarps; other++) mine += of_warps[other * kWarp + lane()];
        sums[first + thread()] = mine;
    }
};

// ---------------------------------------------------------------- forward and backward
// rstd may be squares: a block reads those of its rows before it writes any.
template <class T, int N, bool kGated>
struct RelaNormForward {
    static constexpr int kThreads = kThreadsOfRows;
    Global<T> y;
    Global<float> rstd;
    Global<const T> z;
    Global<const float> squares;
    Global<const T> w, u;
    int64_t rows, width;
    float whole_width, eps;

    DEVICE void operator()() const {
        SHARED(float, scales, kRows);
        const int64_t first = block_x() * kRows;
        const int count = int(std::min<int64_t>(kRows, rows - first));
        if (thread() < count) {
            const float scale = rsqrt(float(squares[first + thread()]) / whole_width + eps);
            rstd[first + thread()] = scale;
            scales[thread()] = scale;
        }
        block_barrier();
        each_strip<N>(width, [&](int64_t i, bool inside) {
            if (!inside) return;
            const Channels<T, N, kGated> c(w, u, i, true);
            for (int r = 0; r < count; r++) {
                const int64_t at = (first + r) * width + i;
                const float scale = scales[r];
                Vec<T, N> v = load<N>(z + at);
                for (int j = 0; j < N; j++) {
                    const float x = float(v[j]);
                    v[j] = T(rela_value(x, scale, c.w(j), c.gate(j, x)));
                }
                store<N>(y + at, v);
            }
        });
    }
};

// Blocks take tiles of rows and columns; partial_w, partial_u (chunks, width) = the sums of each over its rows.
template <class T, int N, bool kGated>
struct RelaNormBackward {
    static constexpr int kThreads = kTileThreads;
    Global<T> dz;
    Global<float> partial_w, partial_u;
    Global<const T> dy, z, w, u;
    Global<const float> rstd, dots;
    Tile tile;
    float whole_width;

    DEVICE void operator()() const {
        const int64_t width = tile.pieces * N, i = tile.piece() * N;
        const bool inside = tile.inside();
        const Channels<T, N, kGated> c(w, u, i, inside);
        Vec<float, N> dw{}, du{};
        for (int64_t row = tile.first(); inside && row < tile.end(); row += tile.step()) {
            const int64_t at = row * width + i;
            const float scale = rstd[row], pull = rela_pull(scale, float(dots[row]), whole_width);
            Vec<T, N> d = load<N>(dy + at);
            const Vec<T, N> x = load<N>(z + at);
            for (int j = 0; j < N; j++) {
                const float out = float(d[j]), in = float(x[j]), s = c.gate(j, in);
                RelaGradient<float> gradient;
                if constexpr (kGated)
                    gradient = gated_rela_gradient(out, in, scale, pull, c.w(j), c.u(j), s);
                else
                    gradient = rela_gradient(out, in, scale, pull, c.w(j), s);
                d[j] = T(gradient.z);
                dw[j] += gradient.w;
                du[j] += gradient.u;
            }
            store<N>(dz + at, d);
        }
        store_partial<N>(partial_w, tile, dw);
        if constexpr (kGated) {
            block_barrier();  // store_partial's own memory is used again
            store_partial<N>(partial_u, tile, du);
        }
    }
};

// f(access width, whether there is a gate) as constants.
template <class T, class F>
void with_gate_or_none(int64_t vector, bool gated, F f) {
    with_width<T>(vector, [&](auto n) {
        if (gated)
            f(n, std::true_type());
        else
            f(n, std::false_type());
    });
}

}  // namespace

template <class B>
void sum_of_squares_by_row(Stream stream, typename B::A* squares, const typename B::T* z, int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 1, rows));
    with_width<T>(vector_width<T>(width, z), [&]<int N>(std::integral_constant<int, N>) {
        op.launch(RowSums<Squares<T, N>, N>{squares, {z}, rows, width}, shape_of_rows(rows));
    });
}

template <class B>
void rela_norm_forward(Stream stream, typename B::T* y, typename B::A* rstd, const typename B::T* z,
                       const typename B::A* squares, const typename B::T* w, const typename B::T* u, int64_t rows,
                       int64_t width, int64_t whole_width, double eps) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}, {"whole_width", whole_width}},
                moved<B>(rows, width, 2, 2 * rows + (u ? 2 : 1) * width));
    with_gate_or_none<T>(vector_width<T>(width, y, z, w, u), u,
                         [&]<int N, bool kGated>(std::integral_constant<int, N>, std::bool_constant<kGated>) {
                             op.launch(RelaNormForward<T, N, kGated>{y, rstd, z, squares, w, u, rows, width,
                                                                     float(whole_width), float(eps)},
                                       shape_of_rows(rows));
                         });
}

template <class B>
void rela_norm_dots(Stream stream, typename B::A* dots, const typename B::T* dy, const typename B::T* z,
                    const typename B::T* w, const typename B::T* u, int64_t rows, int64_t width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}},
                moved<B>(rows, width, 2, rows + (u ? 2 : 1) * width));
    with_gate_or_none<T>(
        vector_width<T>(width, dy, z, w, u), u,
        [&]<int N, bool kGated>(std::integral_constant<int, N>, std::bool_constant<kGated>) {
            op.launch(RowSums<Dots<T, N, kGated>, N>{dots, {dy, z, w, u}, rows, width}, shape_of_rows(rows));
        });
}

template <class B>
void rela_norm_backward(Stream stream, typename B::T* dz, typename B::G* dw, typename B::G* du, const typename B::T* dy,
                        const typename B::T* z, const typename B::T* w, const typename B::T* u,
                        const typename B::A* rstd, const typename B::A* dots, int64_t rows, int64_t width,
                        int64_t whole_width) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}, {"whole_width", whole_width}},
                moved<B>(rows, width, 3, 2 * rows + (u ? 6 : 3) * width));
    with_gate_or_none<T>(vector_width<T>(width, dz, dy, z, w, u), u,
                         [&]<int N, bool kGated>(std::integral_constant<int, N>, std::bool_constant<kGated>) {
                             const Tile tile = tile_of(rows, width / N);
                             float* partial_w = op.scratch<float>(tile.partials() * N);
                             float* partial_u = kGated ? op.scratch<float>(tile.partials() * N) : nullptr;
                             op.launch(RelaNormBackward<T, N, kGated>{dz, partial_w, partial_u, dy, z, w, u, rstd, dots,
                                                                      tile, float(whole_width)},
                                       {.grid = tile.grid()});
                             const LaunchShape columns = sum_of_chunks_shape(width);
                             op.launch(SumOfChunks<float>{dw, partial_w, tile.chunks, width, true}, columns);
                             if (kGated)
                                 op.launch(SumOfChunks<float>{du, partial_u, tile.chunks, width, true}, columns);
                         });
}

#define INSTANTIATE(B)                                                                                           \
    template void sum_of_squares_by_row<B>(Stream, B::A*, const B::T*, int64_t, int64_t);                        \
    template void rela_norm_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::A*, const B::T*, const B::T*, \
                                       int64_t, int64_t, int64_t, double);                                       \
    template void rela_norm_dots<B>(Stream, B::A*, const B::T*, const B::T*, const B::T*, const B::T*, int64_t,  \
                                    int64_t);                                                                    \
    template void rela_norm_backward<B>(Stream, B::T*, B::G*, B::G*, const B::T*, const B::T*, const B::T*,      \
                                        const B::T*, const B::A*, const B::A*, int64_t, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
