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

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/norm_math.h"
#include "kernels/ops.h"
#include "kernels/residual_math.h"

namespace sluice {
namespace {

// kLanes threads that take a head together: lanes of a warp, or all of a block. A thread has kPieces pieces of it, or
// with kPieces 0 as many as it takes, and no room for them in registers. A piece is kParts runs of N elements, an
// access each: one run, or with RoPE two, half a head apart, so that a thread has both channels of a pair. Neighbouring
// threads have neighbouring runs.
template <int N_, int kLanes_, int kPieces_, int kParts_>
struct Team {
    static constexpr int N = N_, kLanes = kLanes_, kPieces = kPieces_, kParts = kParts_;
    static constexpr int kSize = kParts * N;  // elements of a piece
    static constexpr int kThreads = kLanes > kWarp ? kLanes : 256, kTeams = kThreads / kLanes;
    // A group takes a token: a warp, since all of its lanes meet in each sum, or the block.
    static constexpr int kGroup = std::max(kLanes, kWarp), kGroups = kThreads / kGroup;
    static constexpr int kTeamsOfGroup = kGroup / kLanes;

    DEVICE static int index() { return thread() / kLanes; }
    DEVICE static int rank() { return thread() % kLanes; }

    // f(piece, its first element) for this thread's pieces of a head of `width` elements.
    template <class F>
    DEVICE static void each(int width, F f) {
        int i = rank() * N;
        if constexpr (kPieces == 0) {
            for (; i < width / kParts; i += kLanes * N) f(0, i);
        } else {
            for (int k = 0; k < kPieces; k++, i += kLanes * N)
                if (i < width / kParts) f(k, i);
        }
    }
    // The team's sum, for each of its threads. The whole group calls it.
    DEVICE static float sum(float v) {
        if constexpr (kLanes > kWarp) {
            return block_sum<kThreads>(v);
        } else {
            for (int mask = kLanes / 2; mask > 0; mask /= 2) v += shuffle_xor(v, mask);
            return v;
        }
    }
};

template <class Y, class X, int M>
DEVICE Vec<Y, M> converted(const Vec<X, M>& x) {
    Vec<Y, M> y;
    for (int j = 0; j < M; j++) y[j] = Y(float(x[j]));
    return y;
}

// A head (width) in memory; pieces are known by their first element. Or with kParts 1 what stands for a head and has
// one element for both channels of a pair.
template <class X, class Team, int kParts = Team::kParts>
struct Head {
    static constexpr int kSize = kParts * Team::N;
    using Value = std::remove_const_t<X>;
    using Piece = Vec<Value, kSize>;

    Global<X> data;
    int width;

    DEVICE int place(int i, int j) const { return i + j / Team::N * (width / kParts) + j % Team::N; }
    DEVICE Piece read(int i) const {
        constexpr int kRun = std::min(Team::N, 16 / int(sizeof(X)));  // elements of an access
        Piece piece;
        for (int j = 0; j < kSize; j += kRun) {
            const Vec<Value, kRun> run = load<kRun>(Global<const Value>(data + place(i, j)));
            for (int l = 0; l < kRun; l++) piece[j + l] = run[l];
        }
        return piece;
    }
    DEVICE void write(int i, const Piece& piece) const {
        constexpr int kRun = std::min(Team::N, 16 / int(sizeof(X)));
        for (int j = 0; j < kSize; j += kRun) {
            Vec<Value, kRun> run;
            for (int l = 0; l < kRun; l++) run[l] = piece[j + l];
            store<kRun>(data + place(i, j), run);
        }
    }
};

// A thread's pieces of a head, in registers if kRoom.
template <class X, class Team, int kParts = Team::kParts, bool kRoom = (Team::kPieces > 0)>
class Kept {
 public:
    using Piece = typename Head<X, Team, kParts>::Piece;

    DEVICE explicit Kept(const Head<X, Team, kParts>& head) : head_(head) {}
    DEVICE Piece keep(int k, const Piece& piece) { return pieces_[k] = piece; }
    DEVICE Piece read(int k, int i) { return keep(k, head_.read(i)); }
    DEVICE void read_all() {
        if constexpr (kRoom) Team::each(head_.width, [&](int k, int i) { read(k, i); });
    }
    // What was read of i.
    DEVICE Piece again(int k, int i) const {
        if constexpr (kRoom)
            return pieces_[k];
        else
            return head_.read(i);
    }

 private:
    Head<X, Team, kParts> head_;
    Piece pieces_[kRoom ? Team::kPieces : 1];
};

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
        cos_.read_all(), sin_.read_all();
    }
    DEVICE void apply(int k, int i, Vec<float, Team::kSize>& v, float direction) const {
        const Vec<float, Team::N> cos = cos_.again(k, i), sin = sin_.again(k, i);
        for (int j = 0; j < Team::N; j++) {
            const RopePair<float> pair = rotated(RopePair<float>{v[j], v[Team::N + j]}, cos[j], direction * sin[j]);
            v[j] = pair.first, v[Team::N + j] = pair.second;
        }
    }

 private:
    Kept<const float, Team, 1> cos_, sin_;
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
// What a thread sums up over heads, of each of its elements: in registers, or where there is no room in place, in the
// row of parts (width) which is the block's.
template <class Team>
class Sums {
 public:
    DEVICE explicit Sums(const Head<float, Team>& part) : part_(part), kept_(part) {
        Team::each(part.width, [&](int k, int i) { put(k, i, {}); });
    }
    DEVICE void add(int k, int i, const Vec<float, Team::kSize>& v) {
        auto sum = kept_.again(k, i);
        for (int j = 0; j < Team::kSize; j++) sum[j] += v[j];
        put(k, i, sum);
    }
    // Writes the part: the sum over the teams of the block, in their order. All threads call it.
    DEVICE void write() const {
        constexpr int kSpan = Team::kLanes * Team::kPieces * Team::kSize;  // elements that a team has room for
        if constexpr (Team::kPieces > 0 && Team::kTeams == 1) {
            Team::each(part_.width, [&](int k, int i) { part_.write(i, kept_.again(k, i)); });
        } else if constexpr (Team::kPieces > 0) {
            SHARED(float, of_teams, Team::kTeams* kSpan);
            Team::each(part_.width, [&](int k, int i) {
                const auto sum = kept_.again(k, i);
                for (int j = 0; j < Team::kSize; j++) of_teams[Team::index() * kSpan + part_.place(i, j)] = sum[j];
            });
            block_barrier();
            for (int i = thread(); i < part_.width; i += Team::kThreads) {
                float sum = of_teams[i];
                for (int team = 1; team < Team::kTeams; team++) sum += of_teams[team * kSpan + i];
                part_.data[i] = sum;
            }
        }
    }

 private:
    DEVICE void put(int k, int i, const Vec<float, Team::kSize>& v) {
        if constexpr (Team::kPieces > 0)
            kept_.keep(k, v);
        else
            part_.write(i, v);
    }
    Head<float, Team> part_;
    Kept<float, Team> kept_;
};

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
            for (int j = 0; j < Team::kSize; j++) dot += d[j] * c[j] * v[j];
        });
        const float pull = scale * scale * Team::sum(dot) / float(width);
        Team::each(here, [&](int k, int i) {
            auto d = converted<float>(dys.again(k, i)), v = converted<float>(xs.again(k, i));
            const auto c = converted<float>(weights.again(k, i));
            auto sum = Team::kParts == 1 && adds ? converted<float>(out.read(i)) : Vec<float, Team::kSize>{};
            rotation.apply(k, i, d, -1);
            for (int j = 0; j < Team::kSize; j++) sum[j] += norm_gradient(d[j] * c[j], v[j], scale, pull);
            out.write(i, converted<T>(sum));
            for (int j = 0; j < Team::kSize; j++) d[j] = norm_value(v[j], scale, d[j]);
            dw.add(k, i, d);
        });
    }
};

// ---------------------------------------------------------------- launches
// f(team) for rows without RoPE, which a warp or a block takes; rows of up to 8192 elements stay in registers.
template <class T, class F>
void with_row_team(int64_t width, int64_t vector, F f) {
    with_width<T>(vector, [&]<int N>(std::integral_constant<int, N>) {
        if (width <= 32 * 8)
            f(Team<N, 32, 8 / N, 1>());
        else if (width <= 128 * 8)
            f(Team<N, 128, 8 / N, 1>());
        else if (width <= 256 * 8)
            f(Team<N, 256, 8 / N, 1>());
        else if (width <= 512 * 16)
            f(Team<N, 512, 16 / N, 1>());
        else
            f(Team<N, 256, 0, 1>());
    });
}
// f(team) for heads (dim) with RoPE.
template <class T, class F>
void with_head_team(int64_t dim, int64_t vector, F f) {
    constexpr int N = 16 / sizeof(T);
    if (vector == 1)
        dim <= 2 * 32 * 4 ? f(Team<1, 32, 4, 2>()) : f(Team<1, 256, 0, 2>());
    else if (dim <= 2 * 4 * N)
        f(Team<N, 4, 1, 2>());
    else if (dim <= 2 * 8 * N)
        f(Team<N, 8, 1, 2>());
    else if (dim <= 2 * 16 * N)
        f(Team<N, 16, 1, 2>());
    else if (dim <= 2 * 32 * N)
        f(Team<N, 32, 1, 2>());
    else
        f(Team<4, 256, 0, 2>());  // with 8, what backward has in hand does not fit in registers
}

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
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}});
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
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}});
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
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}});
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
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}});
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
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}});
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
    const Op op(__func__, stream, {{"tokens", tokens}, {"heads", n.heads}, {"dim", n.dim}});
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
