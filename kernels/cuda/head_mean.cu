// The mean of scores over heads, which a gate of all heads has, and its gradient. A thread takes a piece of N
// neighbouring channels of a row, and walks over the heads.
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"

namespace sluice {
namespace {

template <class T, int N>
struct HeadMeanForward {
    static constexpr int kThreads = Layout::kThreads;
    Global<T> mean;
    DeviceRows<const T> s;
    Layout layout;
    int64_t rows, heads, channels;
    float of;

    DEVICE void operator()() const {
        const int64_t row = layout.row();
        const int channel = layout.piece() * N;
        if (row >= rows || channel >= channels) return;
        Vec<float, N> sums{};
        for (int64_t h = 0; h < heads; h++) {
            const auto v = load<N>(s.row(row) + h * channels + channel);
            for (int i = 0; i < N; i++) sums[i] += float(v[i]);
        }
        Vec<T, N> v;
        for (int i = 0; i < N; i++) v[i] = T(sums[i] / of);
        store(mean + row * channels + channel, v);
    }
};

template <class T, int N>
struct HeadMeanBackward {
    static constexpr int kThreads = Layout::kThreads;
    DeviceRows<T> ds;
    Global<const T> dmean;
    Layout layout;
    int64_t rows, heads, channels;
    float of;

    DEVICE void operator()() const {
        const int64_t row = layout.row();
        const int channel = layout.piece() * N;
        if (row >= rows || channel >= channels) return;
        auto v = load<N>(dmean + row * channels + channel);
        for (int i = 0; i < N; i++) v[i] = T(float(v[i]) / of);
        for (int64_t h = 0; h < heads; h++) store(ds.row(row) + h * channels + channel, v);
    }
};

}  // namespace

// ---------------------------------------------------------------- launchers
template <class B>
void head_mean_forward(Stream stream, typename B::T* mean, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                       int64_t channels, int64_t of) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}});
    if (rows == 0) return;
    with_width<T>(vector_width_of<T>({channels, s.stride}, mean, s.data), [&](auto wide) {
        const Layout layout(channels / wide());
        op.launch(HeadMeanForward<T, wide()>{mean, on_device(s), layout, rows, heads, channels, float(of)},
                  {.grid = layout.grid(rows)});
    });
}

template <class B>
void head_mean_backward(Stream stream, Rows<typename B::T> ds, const typename B::T* dmean, int64_t rows, int64_t heads,
                        int64_t channels, int64_t of) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"heads", heads}, {"channels", channels}});
    if (rows == 0) return;
    with_width<T>(vector_width_of<T>({channels, ds.stride}, ds.data, dmean), [&](auto wide) {
        const Layout layout(channels / wide());
        op.launch(HeadMeanBackward<T, wide()>{on_device(ds), dmean, layout, rows, heads, channels, float(of)},
                  {.grid = layout.grid(rows)});
    });
}

#define INSTANTIATE(B)                                                                                       \
    template void head_mean_forward<B>(Stream, B::T*, Rows<const B::T>, int64_t, int64_t, int64_t, int64_t); \
    template void head_mean_backward<B>(Stream, Rows<B::T>, const B::T*, int64_t, int64_t, int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
