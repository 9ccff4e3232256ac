// AdamW (arXiv 1711.05101) in one pass over memory, and the sum of squares that its clip needs. A list of spans is done
// span by span, each on all cores.
#include "kernels/adamw_math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

namespace {

// Chunks of a fixed length, added up in order: the same sum for any number of threads.
template <class T>
double sum_of_squares(const T* x, int64_t count) {
    constexpr int64_t kChunk = 65536;
    const int64_t chunks = (count + kChunk - 1) / kChunk;
    thread_local std::vector<double> storage;  // (chunks)
    if (int64_t(storage.size()) < chunks) storage.resize(size_t(chunks));
    double* partials = storage.data();
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++) {
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = c * kChunk; i < std::min(count, (c + 1) * kChunk); i++) sum += double(x[i]) * double(x[i]);
        partials[c] = sum;
    }
    double sum = 0;
    for (int64_t c = 0; c < chunks; c++) sum += partials[c];
    return sum;
}

template <class S>
int64_t elements(const S* spans, int64_t count) {
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += spans[i].count;
    return sum;
}

}  // namespace

template <class B>
void sum_of_squares(Stream, double* total, const typename B::G* x, const Span* spans, int64_t count) {
    const Timed timed(__func__, moved<B>(1, elements(spans, count), 1));
    for (int64_t i = 0; i < count; i++) *total += sum_of_squares(x + spans[i].offset, spans[i].count);
}

template <class B>
void round_weights(Stream, typename B::T* w, const typename B::A* master, int64_t count) {
    const Timed timed(__func__, moved<B>(1, count, 2));
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) w[i] = typename B::T(master[i]);
    });
}

template <class B>
void adamw(Stream, typename B::T* weights, typename B::A*, typename B::A* first, typename B::A* second,
           const typename B::G* gradients, const AdamWSpan* spans, int64_t count, const AdamW& n) {
    const Timed timed(__func__, moved<B>(1, elements(spans, count), 7));
    using A = typename B::A;
    for (const AdamWSpan* span = spans; span < spans + count; span++) {
        auto *w = weights + span->weights, *m = first + span->state, *v = second + span->state;
        const auto* g = gradients + span->gradients;
        parallel_chunks(span->count, 1, [&, math = AdamWMath<A>(n)](int64_t begin, int64_t end) {
            const A kept = math.kept(span->decays);
#pragma omp simd
            for (int64_t i = begin; i < end; i++) w[i] = math.update(w[i], m[i], v[i], g[i], kept);
        });
    }
}

#define INSTANTIATE(B)                                                                   \
    template void sum_of_squares<B>(Stream, double*, const B::G*, const Span*, int64_t); \
    template void round_weights<B>(Stream, B::T*, const B::A*, int64_t);                 \
    template void adamw<B>(Stream, B::T*, B::A*, B::A*, B::A*, const B::G*, const AdamWSpan*, int64_t, const AdamW&);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
