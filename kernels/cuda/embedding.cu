// Token embedding, forward and backward. The table may be a shard of the vocabulary: ids outside of it are skipped.
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/vocab_math.h"

namespace sluice {
namespace {

// A thread copies N channels of a row.
template <class T, int N>
struct EmbeddingForward {
    static constexpr int kThreads = Layout::kThreads;
    Global<T> out;
    Global<const int32_t> tokens;
    Global<const T> table;
    Layout layout;
    int64_t rows, width, first_id, vocab;

    DEVICE void operator()() const {
        const int64_t row = layout.row();
        const int channel = layout.piece() * N;
        if (row >= rows || channel >= width) return;
        const int64_t id = local_id(tokens[row], first_id, vocab);
        Vec<T, N> v{};
        if (id >= 0) v = load<N>(table + id * width + channel);
        store(out + row * width + channel, v);
    }
};

// A block takes a place i of `order` (block_x) and a tile of channels (block_y), N a thread. If a run of equal tokens
// begins at i, it adds up the rows of the whole run, in order; some are loaded ahead, as most of the time is spent
// waiting for memory. Other blocks have nothing to do.
template <class T, int N>
struct EmbeddingBackward {
    static constexpr int kThreads = 128, kAhead = 8;
    Global<float> dtable;
    Global<const T> dout;
    Global<const int32_t> tokens, order;
    int64_t rows, width, first_id, vocab;

    DEVICE void operator()() const {
        const int64_t channel = (block_y() * kThreads + thread()) * N, begin = block_x();
        if (channel >= width) return;
        const int32_t first = order[begin], mine = tokens[first];
        const int64_t id = local_id(mine, first_id, vocab);
        if (id < 0 || (begin > 0 && token(begin - 1) == mine)) return;
        const Global<float> to = dtable + id * width + channel;
        auto sum = load<N>(to);
        add(sum, load<N>(dout + first * width + channel));
        for (int64_t i = begin + 1; i < rows && token(i) == mine; i += kAhead) {
            Vec<T, N> d[kAhead];
            bool within[kAhead];  // the run: true for the first ones
            for (int j = 0; j < kAhead; j++) {
                within[j] = j == 0 || (i + j < rows && token(i + j) == mine);
                if (within[j]) d[j] = load<N>(dout + order[i + j] * width + channel);
            }
            for (int j = 0; j < kAhead; j++)
                if (within[j]) add(sum, d[j]);
        }
        store(to, sum);
    }

 private:
    DEVICE int32_t token(int64_t i) const { return tokens[order[i]]; }
    DEVICE static void add(Vec<float, N>& sum, const Vec<T, N>& d) {
        for (int k = 0; k < N; k++) sum[k] += float(d[k]);
    }
};

}  // namespace

// ---------------------------------------------------------------- launchers
template <class B>
void embedding_forward(Stream stream, typename B::T* out, const int32_t* tokens, const typename B::T* table,
                       int64_t rows, int64_t width, int64_t first_id, int64_t vocab) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}, {"vocab", vocab}}, moved<B>(rows, width, 2));
    with_width<T>(vector_width<T>(width, out, table), [&](auto wide) {
        const Layout layout(width / wide());
        op.launch(EmbeddingForward<T, wide()>{out, tokens, table, layout, rows, width, first_id, vocab},
                  {.grid = layout.grid(rows)});
    });
}

template <class B>
void embedding_backward(Stream stream, typename B::G* dtable, const typename B::T* dout, const int32_t* tokens,
                        const int32_t* order, int64_t rows, int64_t width, int64_t first_id, int64_t vocab) {
    using T = typename B::T;
    const Op op(__func__, stream, {{"rows", rows}, {"width", width}, {"vocab", vocab}}, moved<B>(rows, width, 3));
    // An access is as wide as dtable's allow: its sums are wider than dout.
    const int64_t n = std::min(vector_width<float>(width, dtable), vector_width<T>(width, dout));
    with_width<float>(n, [&](auto wide) {
        using Kernel = EmbeddingBackward<T, wide()>;
        op.launch(Kernel{dtable, dout, tokens, order, rows, width, first_id, vocab},
                  {.grid = {rows, ceil_div(width, Kernel::kThreads * wide())}});
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void embedding_forward<B>(Stream, B::T*, const int32_t*, const B::T*, int64_t, int64_t, int64_t,         \
                                       int64_t);                                                                      \
    template void embedding_backward<B>(Stream, B::G*, const B::T*, const int32_t*, const int32_t*, int64_t, int64_t, \
                                        int64_t, int64_t);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
