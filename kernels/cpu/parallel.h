// Loops over the threads of a rank. Results do not depend on how many there are: threads write disjoint outputs, and a
// sum over rows is formed in chunks of fixed length, which are then added in order.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace sluice {

constexpr int64_t kGrain = 16384;  // elements that are worth a thread's start

// body(begin, end) for chunks of the items 0 .. count - 1; an item costs as much as `work` elements.
template <class F>
void parallel_chunks(int64_t count, int64_t work, F body) {
    const int64_t chunk = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, work));
    const int64_t chunks = (count + chunk - 1) / chunk;
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++) body(c * chunk, std::min(count, (c + 1) * chunk));
}

// totals (N arrays of (width)) += the sums over rows of what add(begin, end, partial), for chunks of the rows, adds to
// partial (N, width). Each chunk has a partial of its own, which starts from 0.
template <class T, class A, size_t N, class F>
void sum_chunks(const std::array<T*, N>& totals, int64_t rows, int64_t width, F add) {
    constexpr int64_t kChunk = 64;
    const int64_t chunks = (rows + kChunk - 1) / kChunk, size = int64_t(N) * width;
    thread_local std::vector<A> storage;  // (chunks, N, width), of the calling thread
    if (int64_t(storage.size()) < chunks * size) storage.resize(size_t(chunks * size));
    A* partials = storage.data();
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++) {
        A* partial = partials + c * size;
        std::fill(partial, partial + size, A(0));
        add(c * kChunk, std::min(rows, (c + 1) * kChunk), partial);
    }
    for (int64_t c = 0; c < chunks; c++)
        for (size_t n = 0; n < N; n++) {
            const A* partial = partials + c * size + int64_t(n) * width;
            for (int64_t i = 0; i < width; i++) totals[n][i] = T(A(totals[n][i]) + partial[i]);
        }
}
// The same, of what add(row, partial) adds.
template <class T, class A, size_t N, class F>
void sum_rows(const std::array<T*, N>& totals, int64_t rows, int64_t width, F add) {
    sum_chunks<T, A>(totals, rows, width, [&](int64_t begin, int64_t end, A* partial) {
        for (int64_t r = begin; r < end; r++) add(r, partial);
    });
}
// The same for one array: total (width), partial (width).
template <class T, class A, class F>
void sum_rows(T* total, int64_t rows, int64_t width, F add) {
    sum_rows<T, A>(std::array<T*, 1>{total}, rows, width, add);
}

}  // namespace sluice
