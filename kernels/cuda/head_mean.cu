// The mean of scores over heads, which a gate of all heads has, and its gradient. A thread takes a piece of N
// neighbouring channels of a row, and walks over the heads.
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"

namespace sluice {
namespace {

// Where this thread's piece lies: in the mean (rows, channels), and in a row (heads, channels) of scores.
template <int N>
struct HeadMeanPiece {
    static constexpr int kThreads = Layout::kThreads;
    int64_t rows, heads, channels;
    Layout layout{channels / N};

    Grid grid() const { return layout.grid(rows); }
    DEVICE bool inside() const { return row() < rows && channel() < channels; }
    DEVICE int64_t row() const { return layout.row(); }
    DEVICE int64_t in_mean() const { return row() * channels + channel(); }
    DEVICE int64_t in_head(int64_t h) const { return h * channels + channel(); }

 private:
    DEVICE int64_t channel() const { return layout.piece() * N; }
};

template <class T, int N>
struct HeadMeanForward {
    static constexpr int kThreads = HeadMeanPiece<N>::kThreads;
    Global<T> mean;
    DeviceRows<const T> s;
    HeadMeanPiece<N> piece;
    float of;

    DEVICE void operator()() const {
        if (!piece.inside()) return;
        Vec<float, N> sums{};
        for (int64_t h = 0; h < piece.heads; h++) {
            const auto v = load<N>(s.row(piece.row()) + piece.in_head(h));
            for (int i = 0; i < N; i++) sums[i] += float(v[i]);
        }
        Vec<T, N> v;
        for (int i = 0; i < N; i++) v[i] = T(sums[i] / of);
        store(mean + piece.in_mean(), v);
    }
};

template <class T, int N>
struct HeadMeanBackward {
    static constexpr int kThreads = HeadMeanPiece<N>::kThreads;
    DeviceRows<T> ds;
    Global<const T> dmean;
    HeadMeanPiece<N> piece;
    float of;

    DEVICE void operator()() const {
        if (!piece.inside()) return;
        auto v = load<N>(dmean + piece.in_mean());
        for (int i = 0; i < N; i++) v[i] = T(float(v[i]) / of);
        for (int64_t h = 0; h < piece.heads; h++) store(ds.row(piece.row()) + piece.in_head(h), v);
    }
};

}  // namespace

// ---------------------------------------------------------------- launchers
template <class B>
void head_mean_forward(Stream stream, typename B::T* mean, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                       int64_t channels, int64_t of) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}},
                moved<B>(rows, heads * channels, 1, rows * channels));
    if (rows == 0) return;
    with_width<T>(vector_width_of<T>({channels, s.stride}, mean, s.data), [&](auto wide) {
        const HeadMeanPiece<wide()> piece{rows, heads, channels};
        op.launch(HeadMeanForward<T, wide()>{mean, on_device(s), piece, float(of)}, {.grid = piece.grid()});
    });
}

template <class B>
void head_mean_backward(Stream stream, Rows<typename B::T> ds, const typename B::T* dmean, int64_t rows, int64_t heads,
                        int64_t channels, int64_t of) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}},
                moved<B>(rows, heads * channels, 1, rows * channels));
    if (rows == 0) return;
    with_width<T>(vector_width_of<T>({channels, ds.stride}, ds.data, dmean), [&](auto wide) {
        const HeadMeanPiece<wide()> piece{rows, heads, channels};
        op.launch(HeadMeanBackward<T, wide()>{on_device(ds), dmean, piece, float(of)}, {.grid = piece.grid()});
    });
}

#define INSTANTIATE(B)                                                                                       \
    template void head_mean_forward<B>(Stream, B::T*, Rows<const B::T>, int64_t, int64_t, int64_t, int64_t); \
    template void head_mean_backward<B>(Stream, Rows<B::T>, const B::T*, int64_t, int64_t, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
