// RMSNorm, RoPE, and both fused: y = x rstd w, rstd = 1 / sqrt(mean(x^2) + eps). In backward, with d = dy w: dx = rstd
// (d - x rstd^2 mean(d x)), dw = sum over rows of dy x rstd. What is done to a number is in kernels/norm_math.h.
//
// One kernel goes forward and one backward, over (tokens, heads, width); RMSNorm alone has one head. A group of threads
// takes a token, and its teams take a head each until all are done. What a thread reads of a head stays in registers
// until the sum over the head is known, so that all is read once; of heads that a block cannot hold, twice. Groups go
// from token to token with w, and with their sums for dw, in registers; a token's angles serve all of its heads.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/team.cuh"
#include "kernels/norm_math.h"
#include "kernels/ops.h"
#include "kernels/residual_math.h"

namespace sluice {
namespace {

// w (width) for all heads. Single elements fill a register each, so these are read again for each head.
template <class T, class Team>
using Weights = Kept<const T, Team, Team::kParts, (Team::kPieces > 0 && Team::N > 1)>;

// The cosines and sines (width / 2) of a token, by which RoPE rotates its heads. Without RoPE: nothing.
struct Angles {
    Global<const float> cos = nullptr, sin = nullptr;
    int64_t length = 1;  // the token's position is its number modulo this
};
template <class Team>
class Rotation {
 public:
    DEVICE Rotation(const Angles& angles, int64_t token, int width)
        : cos_({angles.cos + token % angles.length * (width / 2), width}),
          sin_({angles.sin + token % angles.length * (width / 2), width}) {
        read(cos_), read(sin_);
    }
    DEVICE void apply(int k, int i, Vec<float, Team::kSize>& v, float direction) const {
        const Vec<float, Team::N> cos = cos_.again(k, i), sin = sin_.again(k, i);
        for (int j = 0; j < Team::N; j++) {
            const float a = v[j], b = v[Team::N + j], signed_sin = direction * sin[j];
            v[j] = rotated_first(a, b, cos[j], signed_sin);
            v[Team::N + j] = rotated_second(a, b, cos[j], signed_sin);
        }
    }

 private:
    using Row = Kept<const float, Team, 1>;

    // Eight elements are two accesses. Two lanes take the piece of one and then that of the other, so that each access
    // fills its sectors, and exchange what is not theirs.
    DEVICE static void read(Row& row) {
        if constexpr (Team::kPieces == 1 && Team::N == 8) {
            const int odd = Team::rank() % 2, even_piece = (Team::rank() - odd) * 8, half = row.head().width / 2;
            Vec<float, 4> of_even{}, of_odd{};
            if (even_piece < half) of_even = load<4>(row.head().data + even_piece + odd * 4);
            if (even_piece + 8 < half) of_odd = load<4>(row.head().data + even_piece + 8 + odd * 4);
            Vec<float, 8> piece;
            for (int j = 0; j < 4; j++) {
                const float other = shuffle_xor(odd ? of_even[j] : of_odd[j], 1);
                piece[j] = odd ? other : of_even[j];
                piece[4 + j] = odd ? of_odd[j] : other;
            }
            row.keep(0, piece);
        } else {
            row.read_all();
        }
    }

    Row cos_, sin_;
};
template <class Team>
requires(Team::kParts == 1) class Rotation<Team> {
 public:
    DEVICE Rotation(const Angles&, int64_t, int) {}
    DEVICE void apply(int, int64_t, Vec<float, Team::kSize>&, float) const {}
};

// ---------------------------------------------------------------- forward
// What is normalised, as heads that begin at element `at`: x itself, or the residual sum out = x + clamp(y), rounded to
// T, which is written as it is read. Norms of both have the same bits.
template <class T, class Team>
struct Itself {
    Global<const T> x;
    DEVICE Head<const T, Team> head(int64_t at, int width) const { return {x + at, width}; }
    DEVICE auto read(int64_t at, int width, int i) const { return head(at, width).read(i); }
};
template <class T, class Team>
struct ResidualSum {
    Global<T> out;
    Global<const T> x, y;
    float limit;
    DEVICE Head<const T, Team> head(int64_t at, int width) const { return {out + at, width}; }
    DEVICE auto read(int64_t at, int width, int i) const {
        auto sum = Head<const T, Team>{x + at, width}.read(i);
        const auto branch = Head<const T, Team>{y + at, width}.read(i);
        for (int j = 0; j < Team::kSize; j++) sum[j] = T(residual_value(float(sum[j]), float(branch[j]), limit));
        Head<T, Team>{out + at, width}.write(i, sum);
        return sum;
    }
};

// y (tokens, heads, width) = the norm of the input, or with kNorm false the input, rotated.
template <class T, class Team, class Input, bool kNorm = true>
struct NormForward {
    static constexpr int kThreads = Team::kThreads, kGroups = Team::kGroups;
    Global<T> y;
    Global<float> rstd;  // (tokens, heads)
    Input input;
    Global<const T> w;
    Angles angles;
    int64_t y_stride, x_stride;  // from token to token
    int64_t tokens;
    int heads, width;
    float eps, direction = 1;

    DEVICE void operator()() const {
        Weights<T, Team> weights({w, kNorm ? width : 0});
        weights.read_all();
        const int64_t step = grid_x() * Team::kGroups;
        for (int64_t t = block_x() * Team::kGroups + thread() / Team::kGroup; t < tokens; t += step) {
            const Rotation<Team> rotation(angles, t, width);
            for (int first = 0; first < heads; first += Team::kTeamsOfGroup)
                head(t, first + Team::index() % Team::kTeamsOfGroup, weights, rotation);
        }
    }
    // Of one head, or of none past the last, for which the team still takes part in sums.
    DEVICE void head(int64_t t, int h, const Weights<T, Team>& weights, const Rotation<Team>& rotation) const {
        const int64_t at = t * x_stride + int64_t(h) * width;
        const int here = h < heads ? width : 0;
        const Head<T, Team> out{y + t * y_stride + int64_t(h) * width, width};
        Kept<const T, Team> x(input.head(at, width));
        float squares = 0, scale = 1;
        Team::each(here, [&](int k, int i) {
            const auto v = converted<float>(x.keep(k, input.read(at, width, i)));
            for (int j = 0; j < Team::kSize; j++) squares += v[j] * v[j];
        });
        if constexpr (kNorm) {
            scale = rsqrt(Team::sum(squares) / float(width) + eps);
            if (here && Team::rank() == 0) rstd[t * heads + h] = scale;
        }
        Team::each(here, [&](int k, int i) {
            auto v = converted<float>(x.again(k, i));
            if constexpr (kNorm) {
                const auto c = converted<float>(weights.again(k, i));
                for (int j = 0; j < Team::kSize; j++) v[j] = norm_value(v[j], scale, c[j]);
            }
            rotation.apply(k, i, v, direction);
            out.write(i, converted<T>(v));
        });
    }
};

// ---------------------------------------------------------------- backward
// A block takes `chunk` tokens, and writes its row of parts (blocks, width).
template <class T, class Team>
struct NormBackward {
    static constexpr int kThreads = Team::kThreads;
    Global<T> dx;
    Global<const T> dy, x, w;
    Global<const float> rstd;
    Angles angles;
    int64_t dx_stride, dy_stride, x_stride;  // from token to token
    int64_t tokens;
    int heads, width;
    bool adds;  // to dx
    int64_t chunk = 0;
    Global<float> parts = nullptr;

    DEVICE void operator()() const {
        Weights<T, Team> weights({w, width});
        weights.read_all();
        Sums<Team> dw({parts + block_x() * width, width});
        const int64_t begin = block_x() * chunk, end = std::min(tokens, begin + chunk);
        for (int64_t t = begin + thread() / Team::kGroup; t < end; t += Team::kGroups) {
            const Rotation<Team> rotation(angles, t, width);
            for (int first = 0; first < heads; first += Team::kTeamsOfGroup)
                head(t, first + Team::index() % Team::kTeamsOfGroup, weights, rotation, dw);
        }
        dw.write();
    }
    DEVICE void head(int64_t t, int h, const Weights<T, Team>& weights, const Rotation<Team>& rotation,
                     Sums<Team>& dw) const {
        const int64_t at = int64_t(h) * width;
        const int here = h < heads ? width : 0;
        const Head<T, Team> out{dx + t * dx_stride + at, width};
        Kept<const T, Team> dys({dy + t * dy_stride + at, width}), xs({x + t * x_stride + at, width});
        const float scale = here ? float(rstd[t * heads + h]) : 0;
        float dot = 0;
        Team::each(here, [&](int k, int i) {
            auto d = converted<float>(dys.read(k, i));
            const auto v = converted<float>(xs.read(k, i)), c = converted<float>(weights.again(k, i));
            rotation.apply(k, i, d, -1);
            for (int j = 0; j < Team::kSize; j++) dot += norm_dot(d[j], c[j], v[j]);
        });
        const float pull = norm_pull(scale, Team::sum(dot), float(width));
        Team::each(here, [&](int k, int i) {
            auto d = converted<float>(dys.again(k, i)), v = converted<float>(xs.again(k, i));
            const auto c = converted<float>(weights.again(k, i));
            auto sum = Team::kParts == 1 && adds ? converted<float>(out.read(i)) : Vec<float, Team::kSize>{};
            rotation.apply(k, i, d, -1);
            for (int j = 0; j < Team::kSize; j++) sum[j] += norm_gradient(d[j], c[j], v[j], scale, pull);
            out.write(i, converted<T>(sum));
            for (int j = 0; j < Team::kSize; j++) d[j] = norm_weight_gradient(d[j], v[j], scale);
            dw.add(k, i, d);
        });
    }
};

// ---------------------------------------------------------------- launches
// Forward goes from token to token with some blocks on each multiprocessor.
template <class Kernel>
void launch_forward(const Op& op, const Kernel& kernel) {
    constexpr int64_t kMost = 262144 / Kernel::kThreads;
    op.launch(kernel, {.grid = {std::min(kMost, ceil_div(kernel.tokens, Kernel::kGroups))}});
}

// Gives a backward kernel chunks of tokens, and each chunk a row of parts in scratch memory; dw (width) += their sum.
template <class Kernel>
void launch_backward(const Op& op, Kernel kernel, float* dw) {
    constexpr int64_t kScratch = int64_t{1} << 23;  // floats
    const int64_t most = std::clamp<int64_t>(kScratch / kernel.width, 1, 131072 / Kernel::kThreads);
    kernel.chunk = std::max<int64_t>(16, ceil_div(kernel.tokens, most));
    const int64_t chunks = ceil_div(kernel.tokens, kernel.chunk);
    float* parts = op.scratch<float>(chunks * kernel.width);
    kernel.parts = parts;
    op.launch(kernel, {.grid = {chunks}});
    op.launch(SumOfChunks<float>{dw, parts, chunks, kernel.width, true}, sum_of_chunks_shape(kernel.width));
}

}  // namespace

template <class B>
void rmsnorm_forward(Stream stream, typename B::T* y, typename B::A* rstd, const typename B::T* x,
                     const typename B::T* w, int64_t rows, int64_t width, double eps) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 2));
    with_row_team<T>(width, vector_width<T>(width, y, x, w), [&]<class Team>(Team) {
        launch_forward(op, NormForward<T, Team, Itself<T, Team>>{
                               y, rstd, {x}, w, {}, width, width, rows, 1, int(width), float(eps)});
    });
}

template <class B>
void rmsnorm_backward(Stream stream, typename B::T* dx, typename B::G* dw, const typename B::T* dy,
                      const typename B::T* x, const typename B::T* w, const typename B::A* rstd, int64_t rows,
                      int64_t width, Into into) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, into == Into::add ? 4 : 3));
    with_row_team<T>(width, vector_width<T>(width, dx, dy, x, w), [&]<class Team>(Team) {
        const NormBackward<T, Team> kernel{
            dx, dy, x, w, rstd, {}, width, width, width, rows, 1, int(width), into == Into::add};
        launch_backward(op, kernel, dw);
    });
}

template <class B>
void residual_rmsnorm_forward(Stream stream, typename B::T* out, typename B::T* normed, typename B::A* rstd,
                              const typename B::T* x, const typename B::T* y, const typename B::T* w, int64_t rows,
                              int64_t width, double eps, double clip) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 4));
    const float limit = clip == 0 ? std::numeric_limits<float>::infinity() : float(clip);
    with_row_team<T>(width, vector_width<T>(width, out, normed, x, y, w), [&]<class Team>(Team) {
        launch_forward(op, NormForward<T, Team, ResidualSum<T, Team>>{
                               normed, rstd, {out, x, y, limit}, w, {}, width, width, rows, 1, int(width), float(eps)});
    });
}

template <class B>
void rope(Stream stream, Rows<typename B::T> x, const typename B::A* cos, const typename B::A* sin, const RopeShape& n,
          int direction) {
    using T = typename B::T;
    const int64_t tokens = n.sequences * n.length;
    if (tokens == 0) return;
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}},
                moved<B>(n.sequences * n.length, n.heads * n.dim, 2));
    with_head_team<T>(n.dim, vector_width_of<T>({n.dim / 2, x.stride}, x.data, cos, sin), [&]<class Team>(Team) {
        launch_forward(op, NormForward<T, Team, Itself<T, Team>, false>{x.data,
                                                                        nullptr,
                                                                        {x.data},
                                                                        nullptr,
                                                                        {cos, sin, n.length},
                                                                        x.stride,
                                                                        x.stride,
                                                                        tokens,
                                                                        int(n.heads),
                                                                        int(n.dim),
                                                                        0,
                                                                        float(direction)});
    });
}

template <class B>
void rmsnorm_rope_forward(Stream stream, typename B::T* y, typename B::A* rstd, Rows<const typename B::T> x,
                          const typename B::T* w, const typename B::A* cos, const typename B::A* sin,
                          const RopeShape& n, double eps) {
    using T = typename B::T;
    const int64_t tokens = n.sequences * n.length;
    if (tokens == 0) return;
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}},
                moved<B>(n.sequences * n.length, n.heads * n.dim, 2));
    with_head_team<T>(n.dim, vector_width_of<T>({n.dim / 2, x.stride}, y, x.data, w, cos, sin), [&]<class Team>(Team) {
        launch_forward(op, NormForward<T, Team, Itself<T, Team>>{y,
                                                                 rstd,
                                                                 {x.data},
                                                                 w,
                                                                 {cos, sin, n.length},
                                                                 n.heads * n.dim,
                                                                 x.stride,
                                                                 tokens,
                                                                 int(n.heads),
                                                                 int(n.dim),
                                                                 float(eps)});
    });
}

template <class B>
void rmsnorm_rope_backward(Stream stream, Rows<typename B::T> dx, typename B::G* dw, Rows<const typename B::T> dy,
                           Rows<const typename B::T> x, const typename B::T* w, const typename B::A* rstd,
                           const typename B::A* cos, const typename B::A* sin, const RopeShape& n) {
    using T = typename B::T;
    const int64_t tokens = n.sequences * n.length;
    if (tokens == 0) return;
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}},
                moved<B>(n.sequences * n.length, n.heads * n.dim, 3));
    const int64_t vector =
        vector_width_of<T>({n.dim / 2, dx.stride, dy.stride, x.stride}, dx.data, dy.data, x.data, w, cos, sin);
    with_head_team<T>(n.dim, vector, [&]<class Team>(Team) {
        const NormBackward<T, Team> kernel{dx.data,   dy.data,   x.data,   w,      rstd,         {cos, sin, n.length},
                                           dx.stride, dy.stride, x.stride, tokens, int(n.heads), int(n.dim),
                                           false};
        launch_backward(op, kernel, dw);
    });
}

#define INSTANTIATE(B)                                                                                                 \
    template void rmsnorm_forward<B>(Stream, B::T*, B::A*, const B::T*, const B::T*, int64_t, int64_t, double);        \
    template void rmsnorm_backward<B>(Stream, B::T*, B::G*, const B::T*, const B::T*, const B::T*, const B::A*,        \
                                      int64_t, int64_t, Into);                                                         \
    template void residual_rmsnorm_forward<B>(Stream, B::T*, B::T*, B::A*, const B::T*, const B::T*, const B::T*,      \
                                              int64_t, int64_t, double, double);                                       \
    template void rope<B>(Stream, Rows<B::T>, const B::A*, const B::A*, const RopeShape&, int);                        \
    template void rmsnorm_rope_forward<B>(Stream, B::T*, B::A*, Rows<const B::T>, const B::T*, const B::A*,            \
                                          const B::A*, const RopeShape&, double);                                      \
    template void rmsnorm_rope_backward<B>(Stream, Rows<B::T>, B::G*, Rows<const B::T>, Rows<const B::T>, const B::T*, \
                                           const B::A*, const B::A*, const B::A*, const RopeShape&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
