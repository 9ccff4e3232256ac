// Gates: out = y g or y + g, with g = scale act(s). A score may be broadcast over rows, heads or channels (stride 0);
// its gradient is the sum over what it was broadcast to. A bias is a gate that adds a constant. In names: Act is scale
// and activation, How says how g is combined with y.
//
// A thread takes a piece of N neighbouring channels, the width of one access, and walks over what shares its scores, so
// that each is read once.
#include "base/check.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/gate_math.h"

namespace sluice {
namespace {

// The scores of a row, side by side: they repeat every `width` channels, `repeat` times, and each belongs to
// `per_score` neighbouring channels. 1: every channel has its own.
struct Scores {
    int width, repeat, per_score;
    int64_t stride;  // from row to row; 0: all rows share them

    bool by_channel() const { return per_score == 1; }
    int64_t count() const { return width / per_score; }
    DEVICE int of_channel(int k) const { return k / per_score; }
};

template <class T, int N, bool kByChannel, class Act, class How>
struct GateForward {
    static constexpr int kThreads = Layout::kThreads;
    DeviceRows<T> out;
    DeviceRows<const T> y;
    Global<const T> s;
    Scores n;
    Layout layout;
    Act act;
    int64_t rows;
    int64_t step;  // of a thread's rows: all rows where each has scores of its own

    DEVICE void operator()() const {
        constexpr int kScores = kByChannel ? N : 1;
        const int64_t first = layout.row();
        const int channel = layout.piece() * N, end = n.repeat * n.width;
        if (first >= step || channel >= n.width) return;
        const auto score = load<kScores>(s + first * n.stride + n.of_channel(channel));
        Vec<float, kScores> g;
        for (int i = 0; i < kScores; i++) g[i] = act.value(float(score[i]), Logistic{});
        for (int64_t row = first; row < rows; row += step)
            for (int k = channel; k < end; k += n.width) {
                auto v = load<N>(y.row(row) + k);
                for (int i = 0; i < N; i++) v[i] = T(How::value(float(v[i]), g[kByChannel ? i : 0]));
                store(out.row(row) + k, v);
            }
    }
};

// ---------------------------------------------------------------- backward
// What every kernel of backward has. ds (of the rows' scores) is written by it, or by a sum over its partial sums.
template <class T>
struct GateGradient {
    DeviceRows<T> dy;
    DeviceRows<const T> dout, y;
    Global<const T> s;
    Scores n;
    int64_t rows;

    // Of N channels from k on: dy, and to sums the gradient of g. Where these are fewer than N, they are one.
    template <class How, int N, int kScores>
    DEVICE void piece(int64_t row, int k, const Vec<float, kScores>& g, Vec<float, kScores>& sums) const {
        auto d = load<N>(dout.row(row) + k);
        const auto v = load<N>(y.row(row) + k);
        for (int i = 0; i < N; i++) {
            const int j = kScores == N ? i : 0;
            sums[j] += How::dg(float(d[i]), float(v[i]));
            d[i] = T(How::dy(float(d[i]), g[j]));
        }
        store(dy.row(row) + k, d);
    }
};

// Each row and channel has a score, of its own head or of all.
template <class T, int N, class Act, class How>
struct GateBackwardChannels {
    static constexpr int kThreads = Layout::kThreads;
    Global<T> ds;
    GateGradient<T> gate;
    Act act;
    Layout layout;
    bool add;

    DEVICE void operator()() const {
        const Scores& n = gate.n;
        const int64_t row = layout.row();
        const int channel = layout.piece() * N, end = n.repeat * n.width;
        if (row >= gate.rows || channel >= n.width) return;
        const auto score = load<N>(gate.s + row * n.stride + channel);
        Vec<float, N> g, sums{};
        for (int i = 0; i < N; i++) g[i] = act.value(float(score[i]), Logistic{});
        for (int k = channel; k < end; k += n.width) gate.template piece<How, N>(row, k, g, sums);
        const Global<T> to = ds + row * n.stride + channel;
        Vec<T, N> gradient{};
        if (add) gradient = load<N>(to);
        for (int i = 0; i < N; i++)
            gradient[i] = T(float(gradient[i]) + sums[i] * (act.scale * act.slope(float(score[i]), Logistic{})));
        store(to, gradient);
    }
};

// Each row and head, or each row, has a score: `lanes` neighbouring threads, a power of two, walk over its channels.
template <class T, int N, class Act, class How>
struct GateBackwardHeads {
    static constexpr int kThreads = 256;
    Global<T> ds;
    GateGradient<T> gate;
    Act act;
    int64_t heads;
    bool add;
    int lanes;

    DEVICE void operator()() const {
        const int64_t at = block_x() * (kThreads / lanes) + thread() / lanes;
        const int64_t row = at / heads, head = at - row * heads, score = row * gate.n.stride + head;
        const int first = thread() % lanes * N, channels = gate.n.per_score;
        const bool inside = row < gate.rows;  // what is outside takes part in the sums
        float slope = 0;
        Vec<float, 1> g{}, sum{};
        if (inside) {
            const float x = gate.s[score];
            g[0] = act.value(x, Logistic{});
            slope = act.scale * act.slope(x, Logistic{});
            for (int k = first; k < channels; k += lanes * N)
                gate.template piece<How, N>(row, int(head) * channels + k, g, sum);
        }
        for (int mask = lanes / 2; mask > 0; mask /= 2) sum[0] += shuffle_xor(sum[0], mask);
        if (inside && first == 0) ds[score] = T((add ? float(ds[score]) : 0.0f) + sum[0] * slope);
    }
};

// All rows share their scores. partial (chunks, pieces, kByChannel ? N : 1).
template <class T, int N, bool kByChannel, class Act, class How>
struct GateBackwardConstants {
    static constexpr int kThreads = kTileThreads;
    Global<float> partial;
    GateGradient<T> gate;
    Act act;
    Tile tile;

    DEVICE void operator()() const {
        constexpr int kScores = kByChannel ? N : 1;
        const Scores& n = gate.n;
        Vec<float, kScores> sums{};
        if (tile.inside()) {
            const int channel = tile.piece() * N, end = n.repeat * n.width;
            const auto score = load<kScores>(gate.s + n.of_channel(channel));
            Vec<float, kScores> g;
            for (int i = 0; i < kScores; i++) g[i] = act.value(float(score[i]), Logistic{});
            for (int64_t row = tile.first(); row < tile.end(); row += tile.step())
                for (int k = channel; k < end; k += n.width) gate.template piece<How, N>(row, k, g, sums);
            for (int i = 0; i < kScores; i++) sums[i] *= act.scale * act.slope(float(score[i]), Logistic{});
        }
        store_partial(partial, tile, sums);
    }
};

template <class T, int N>
struct BiasBackward {
    static constexpr int kThreads = kTileThreads;
    Global<float> partial;  // (chunks, pieces, N)
    DeviceRows<const T> dy;
    Tile tile;

    DEVICE void operator()() const {
        Vec<float, N> sums{};
        if (tile.inside())
            for (int64_t row = tile.first(); row < tile.end(); row += tile.step()) {
                const auto d = load<N>(dy.row(row) + tile.piece() * N);
                for (int i = 0; i < N; i++) sums[i] += float(d[i]);
            }
        store_partial(partial, tile, sums);
    }
};

// ---------------------------------------------------------------- launchers
// The scores of a row lie side by side, over those of (heads, channels) that do not share them.
Scores scores_of(const GateShape& n) {
    check(n.stride.head == 0 || n.stride.head == n.score_channels(), "a gate's scores of a row must lie side by side");
    check(n.heads * n.channels <= INT32_MAX, "a gate's rows must be shorter than 2^31");
    const int channels = int(n.channels), width = int(n.heads) * channels;
    if (n.stride.channel == 0) return {width, 1, n.stride.head ? channels : width, n.stride.row};
    if (n.stride.head == 0) return {channels, int(n.heads), 1, n.stride.row};
    return {width, 1, 1, n.stride.row};
}

// How many elements an access of rows and of scores may take. s and ds are accessed so only where each channel has one.
template <class T, class... P>
int64_t gate_width(const Scores& n, const T* s, int64_t stride, const P*... rows) {
    if (n.by_channel()) return vector_width_of<T>({n.width, n.stride, stride}, s, rows...);
    return vector_width_of<T>({n.per_score, stride}, rows...);
}

// f(channels, a, c, wide): whether each channel has a score, factor, combination and width of an access, all known
// at compile time.
template <class T, class F>
void with_kernel(const Scores& n, Factor factor, Combine how, int64_t width, F f) {
    with_gate<float>(factor, how, [&](auto a, auto c) {
        with_width<T>(width, [&](auto wide) {
            if (n.by_channel())
                f(std::true_type(), a, c, wide);
            else
                f(std::false_type(), a, c, wide);
        });
    });
}

template <class T>
void queue_gate(const Op& op, Rows<T> out, Rows<const T> y, const T* s, const GateShape& shape, Factor factor,
                Combine how) {
    constexpr int64_t kUses = 16;  // of a score that is shared, by one thread
    const Scores n = scores_of(shape);
    const int64_t step = n.stride ? shape.rows : ceil_div(shape.rows, std::max<int64_t>(1, kUses / n.repeat));
    const int64_t width = std::min(gate_width(n, s, out.stride, out.data), gate_width(n, s, y.stride, y.data));
    with_kernel<T>(n, factor, how, width, [&](auto channels, auto a, auto c, auto wide) {
        using Kernel = GateForward<T, wide(), channels(), decltype(a), decltype(c)>;
        const Layout layout(n.width / wide());
        op.launch(Kernel{on_device(out), on_device(y), s, n, layout, a, shape.rows, step}, {.grid = layout.grid(step)});
    });
}

// All rows share their scores.
template <class T, class D>
void queue_constants_backward(const Op& op, D* ds, const GateGradient<T>& gate, int64_t width, Factor factor,
                              Combine how, bool add) {
    const Scores& n = gate.n;
    const Tile tile = tile_of(gate.rows, n.width / width);
    float* partial = op.scratch<float>(tile.partials() * (n.by_channel() ? width : 1));
    with_kernel<T>(n, factor, how, width, [&](auto channels, auto a, auto c, auto wide) {
        using Kernel = GateBackwardConstants<T, wide(), channels(), decltype(a), decltype(c)>;
        op.launch(Kernel{partial, gate, a, tile}, {.grid = tile.grid()});
    });
    if (n.by_channel())
        op.launch(SumOfChunks<D>{ds, partial, tile.chunks, n.width, add}, sum_of_chunks_shape(n.width));
    else
        op.launch(SumOfGroups<D>{ds, partial, tile.chunks, n.per_score / width, add}, {.grid = {n.count()}});
}

// Each row has scores of its own.
template <class T>
void queue_rows_backward(const Op& op, T* ds, const GateGradient<T>& gate, int64_t width, Factor factor, Combine how,
                         bool add) {
    const Scores& n = gate.n;
    with_kernel<T>(n, factor, how, width, [&](auto channels, auto a, auto c, auto wide) {
        using Act = decltype(a);
        using How = decltype(c);
        if constexpr (channels()) {
            const Layout layout(n.width / wide());
            op.launch(GateBackwardChannels<T, wide(), Act, How>{ds, gate, a, layout, add},
                      {.grid = layout.grid(gate.rows)});
        } else {
            using Kernel = GateBackwardHeads<T, wide(), Act, How>;
            const int lanes = lanes_for(n.per_score / wide());
            op.launch(Kernel{ds, gate, a, n.count(), add, lanes},
                      {.grid = {ceil_div(gate.rows * n.count() * lanes, Kernel::kThreads)}});
        }
    });
}

}  // namespace

template <class B>
void gate_forward(Stream stream, typename B::T* out, Rows<const typename B::T> y, const typename B::T* s,
                  const GateShape& n, Factor factor, Combine how) {
    const Op op(__func__, stream, {{"rows", n.rows}, {"heads", n.heads}, {"channels", n.channels}},
                moved<B>(n.rows, n.heads * n.channels, 2, n.scores()));
    if (n.rows > 0) queue_gate<typename B::T>(op, {out, n.heads * n.channels}, y, s, n, factor, how);
}

template <class B, class D>
void gate_backward(Stream stream, Rows<typename B::T> dy, D* ds, Rows<const typename B::T> dout,
                   Rows<const typename B::T> y, const typename B::T* s, const GateShape& shape, Factor factor,
                   Combine how, Into into) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", shape.rows}, {"heads", shape.heads}, {"channels", shape.channels}},
                moved<B>(shape.rows, shape.heads * shape.channels, 3, 2 * shape.scores()));
    const Scores n = scores_of(shape);
    const GateGradient<T> gate{on_device(dy), on_device(dout), on_device(y), s, n, shape.rows};
    const int64_t width = std::min({gate_width(n, s, dy.stride, dy.data), gate_width(n, s, dout.stride, dout.data),
                                    gate_width(n, s, y.stride, y.data)});
    const bool add = into == Into::add;
    if (shape.rows == 0 && (add || n.stride != 0)) return;  // the sum over no rows, which all share scores, is 0
    if (n.stride == 0) {
        queue_constants_backward(op, ds, gate, width, factor, how, add);
    } else if constexpr (std::is_same_v<D, T>) {
        const int64_t widest = n.by_channel() ? vector_width<T>(0, ds) : width;
        queue_rows_backward(op, ds, gate, std::min(width, widest), factor, how, add);
    } else {
        check(false, "a gate's score that is a parameter must be shared by all rows");
    }
}

template <class B>
void bias_forward(Stream stream, Rows<typename B::T> y, const typename B::T* bias, int64_t rows, int64_t width) {
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 2));
    const GateShape shape{rows, 1, width, {0, width, 1}};
    if (rows > 0) queue_gate<typename B::T>(op, y, y, bias, shape, Activation::identity, Combine::add);
}

template <class B>
void bias_backward(Stream stream, typename B::G* db, Rows<const typename B::T> dy, int64_t rows, int64_t width) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}}, moved<B>(rows, width, 1));
    if (rows == 0) return;
    with_width<T>(vector_width_of<T>({width, dy.stride}, dy.data), [&](auto wide) {
        const Tile tile = tile_of(rows, width / wide());
        float* partial = op.scratch<float>(tile.partials() * wide());
        op.launch(BiasBackward<T, wide()>{partial, on_device(dy), tile}, {.grid = tile.grid()});
        op.launch(SumOfChunks<float>{db, partial, tile.chunks, width, true}, sum_of_chunks_shape(width));
    });
}

#define INSTANTIATE(B)                                                                                               \
    template void gate_forward<B>(Stream, B::T*, Rows<const B::T>, const B::T*, const GateShape&, Factor, Combine);  \
    template void gate_backward<B, B::T>(Stream, Rows<B::T>, B::T*, Rows<const B::T>, Rows<const B::T>, const B::T*, \
                                         const GateShape&, Factor, Combine, Into);                                   \
    template void bias_forward<B>(Stream, Rows<B::T>, const B::T*, int64_t, int64_t);                                \
    template void bias_backward<B>(Stream, B::G*, Rows<const B::T>, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)
// Where G is not T, gradients of constants are kept in it.
template void gate_backward<Cuda<bf16>, float>(Stream, Rows<bf16>, float*, Rows<const bf16>, Rows<const bf16>,
                                               const bf16*, const GateShape&, Factor, Combine, Into);

}  // namespace sluice
