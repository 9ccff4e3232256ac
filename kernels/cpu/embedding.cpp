// Token embedding, forward and backward. The table may be a shard of the vocabulary: ids outside of it are skipped.
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

template <class B>
void embedding_forward(Stream, typename B::T* out, const int32_t* tokens, const typename B::T* table, int64_t rows,
                       int64_t width, int64_t first_id, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, width, 2));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const int64_t id = tokens[r] - first_id;
            if (id >= 0 && id < vocab)
                std::copy_n(table + id * width, width, out + r * width);
            else
                std::fill_n(out + r * width, width, typename B::T(0));
        }
    });
}

// Cores take different channels, and all rows of these: two rows may have the same token, so cores with different rows
// could meet in one row of dtable. And the sum of a token is in order of rows.
template <class B>
void embedding_backward(Stream, typename B::T* dtable, const typename B::T* dout, const int32_t* tokens, int64_t rows,
                        int64_t width, int64_t first_id, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, width, 3));
    constexpr int64_t kChannels = 64;
#pragma omp parallel for schedule(static) if (width > kChannels)
    for (int64_t begin = 0; begin < width; begin += kChannels) {
        const int64_t end = std::min(width, begin + kChannels);
        for (int64_t r = 0; r < rows; r++) {
            const int64_t id = tokens[r] - first_id;
            if (id < 0 || id >= vocab) continue;
#pragma omp simd
            for (int64_t i = begin; i < end; i++) dtable[id * width + i] += dout[r * width + i];
        }
    }
}

#define INSTANTIATE(B)                                                                                        \
    template void embedding_forward<B>(Stream, B::T*, const int32_t*, const B::T*, int64_t, int64_t, int64_t, \
                                       int64_t);                                                              \
    template void embedding_backward<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
