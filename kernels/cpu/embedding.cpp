// Token embedding, forward and backward. The table may be a shard of the vocabulary: ids outside of it are skipped.
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"
#include "kernels/vocab_math.h"

namespace sluice {

template <class B>
void embedding_forward(Stream, typename B::T* out, const int32_t* tokens, const typename B::T* table, int64_t rows,
                       int64_t width, int64_t first_id, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, width, 2));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const int64_t id = local_id(tokens[r], first_id, vocab);
            if (id >= 0)
                std::copy_n(table + id * width, width, out + r * width);
            else
                std::fill_n(out + r * width, width, typename B::T(0));
        }
    });
}

// Cores take different runs of equal tokens: a run is the work of the core in whose chunk of `order` it begins.
template <class B>
void embedding_backward(Stream, typename B::G* dtable, const typename B::T* dout, const int32_t* tokens,
                        const int32_t* order, int64_t rows, int64_t width, int64_t first_id, int64_t vocab) {
    const Timed timed(__func__, moved<B>(rows, width, 3));
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        const auto token = [&](int64_t i) { return tokens[order[i]]; };
        const auto begins = [&](int64_t i) { return i == 0 || token(i) != token(i - 1); };
        int64_t first = begin;
        while (first < end && !begins(first)) first++;
        if (first == end) return;
        for (int64_t i = first; i < rows && (i < end || !begins(i)); i++) {
            const int64_t id = local_id(token(i), first_id, vocab);
            if (id < 0) continue;
            auto* row = dtable + id * width;
            const auto* d = dout + order[i] * width;
#pragma omp simd
            for (int64_t k = 0; k < width; k++) row[k] += d[k];
        }
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void embedding_forward<B>(Stream, B::T*, const int32_t*, const B::T*, int64_t, int64_t, int64_t,         \
                                       int64_t);                                                                      \
    template void embedding_backward<B>(Stream, B::G*, const B::T*, const int32_t*, const int32_t*, int64_t, int64_t, \
                                        int64_t, int64_t);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
