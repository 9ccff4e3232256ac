// Tokens to their experts and back: the stable sort of assignments by expert, and the moves of rows that follow it. An
// assignment is a pair (token, expert); e counts experts, p ranks.
#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"
#include "kernels/ops.h"

namespace sluice {
namespace {

constexpr int kMostExperts = int(Cuda<float>::kMostExperts);
constexpr int kSortThreads = 256, kSortWarps = kSortThreads / kWarp;
constexpr int64_t kLeastChunk = 256, kMostChunks = 2048;  // assignments; warps that sort: 4 MiB of counts in scratch

// ---------------------------------------------------------------- the sort
// A counting sort in three kernels: each warp counts the experts of its chunk of assignments; the counts become the
// sorted positions at which each chunk's assignments to each expert begin; each warp places its chunk in order.
struct Chunks {
    Global<const int32_t> topk_ids;  // (count)
    int64_t count, length;           // assignments in all, and in a chunk
    int32_t experts;
    int id_bits;  // that tell ids apart

    // Of this warp.
    DEVICE int64_t number() const { return block_x() * kSortWarps + warp(); }

    // f(i, id, same) for the chunk's assignments i in order, 32 at once, a lane each: their expert, and the lanes of
    // the warp that have the same one. Lanes past the end have i < 0.
    template <class F>
    DEVICE void each(F f) const {
        const int64_t begin = number() * length, end = begin + length < count ? begin + length : count;
        for (int64_t first = begin; first < end; first += kWarp) {
            const int64_t i = first + lane() < end ? first + lane() : -1;
            const int32_t id = i < 0 ? 0 : int32_t(topk_ids[i]);
            const uint32_t present = ballot(i >= 0);
            uint32_t same = present;
            for (int bit = 0; bit < id_bits; bit++) {
                const bool mine = id >> bit & 1;
                const uint32_t votes = ballot(mine);
                same &= mine ? votes : ~votes;
            }
            f(i, id, same);
        }
    }
    // How many of the lanes `same` come before this one.
    DEVICE static int32_t before(uint32_t same) { return std::popcount(same & ((1u << lane()) - 1)); }
};

// counts (chunks, experts).
struct CountChunks {
    static constexpr int kThreads = kSortThreads;
    Global<int32_t> counts;
    Chunks chunks;

    DEVICE void operator()() const {
        SHARED(int32_t, counted_by_warp, kSortWarps * kMostExperts);
        const Shared<int32_t> counted = counted_by_warp + warp() * kMostExperts;
        for (int e = lane(); e < chunks.experts; e += kWarp) counted[e] = 0;
        warp_barrier();
        chunks.each([&](int64_t i, int32_t id, uint32_t same) {
            if (i >= 0 && Chunks::before(same) == 0) counted[id] += std::popcount(same);
            warp_barrier();
        });
        for (int e = lane(); e < chunks.experts; e += kWarp)
            counts[chunks.number() * chunks.experts + e] = int32_t(counted[e]);
    }
};

// starts (chunks, experts), counts before, become positions: those of expert e begin after all of lower experts, those
// of a chunk after those of chunks before it. A lane takes an expert, a warp a run of chunks.
struct StartChunks {
    static constexpr int kThreads = 1024;
    static constexpr int kWarps = kThreads / kWarp;
    Global<int32_t> starts;
    Global<const int64_t> tokens_per_expert;  // (experts)
    int64_t chunks;
    int32_t experts;

    DEVICE void operator()() const {
        SHARED(int64_t, lower_experts, kThreads);  // (warps, lanes): what this warp saw of them
        SHARED(int64_t, in_run, kThreads);         // (warps, lanes): the expert's, in the warp's run
        const int64_t e = block_x() * kWarp + lane();
        const int64_t run = (chunks + kWarps - 1) / kWarps;
        const int64_t begin = warp() * run, end = begin + run < chunks ? begin + run : chunks;
        int64_t lower = 0, sum = 0;
        if (e < experts) {
            for (int64_t other = warp(); other < e; other += kWarps) lower += tokens_per_expert[other];
            for (int64_t c = begin; c < end; c++) sum += int32_t(starts[c * experts + e]);
        }
        lower_experts[thread()] = lower;
        in_run[thread()] = sum;
        block_barrier();
        if (e >= experts) return;
        int64_t position = 0;
        for (int w = 0; w < kWarps; w++) position += lower_experts[w * kWarp + lane()];
        for (int w = 0; w < warp(); w++) position += in_run[w * kWarp + lane()];
        for (int64_t c = begin; c < end; c++) {
            const int32_t counted = starts[c * experts + e];
            starts[c * experts + e] = int32_t(position);
            position += counted;
        }
    }
};

struct PlaceChunks {
    static constexpr int kThreads = kSortThreads;
    Global<int32_t> permutation;
    Global<const int32_t> starts;  // (chunks, experts)
    Chunks chunks;

    DEVICE void operator()() const {
        SHARED(int32_t, next_by_warp, kSortWarps * kMostExperts);
        const Shared<int32_t> next = next_by_warp + warp() * kMostExperts;  // position of the expert's next assignment
        for (int e = lane(); e < chunks.experts; e += kWarp)
            next[e] = int32_t(starts[chunks.number() * chunks.experts + e]);
        warp_barrier();
        chunks.each([&](int64_t i, int32_t id, uint32_t same) {
            const int32_t before = Chunks::before(same);
            const int32_t position = i >= 0 ? next[id] + before : 0;
            warp_barrier();
            if (i >= 0 && before == 0) next[id] = position + std::popcount(same);
            warp_barrier();
            if (i >= 0) permutation[i] = position;
        });
    }
};

// ---------------------------------------------------------------- what an expert group receives
// One block, a thread an expert: offsets (experts + 1) = sums of counts (ranks, experts) over ranks and lower experts.
struct ExpertOffsets {
    static constexpr int kThreads = kMostExperts;
    Global<int64_t> offsets;
    Global<const int64_t> counts;
    int64_t ranks, experts;

    DEVICE void operator()() const {
        SHARED(int64_t, ends, kThreads);
        const int e = thread();
        int64_t rows = 0;
        for (int64_t p = 0; p < ranks && e < experts; p++) rows += counts[p * experts + e];
        ends[e] = rows;
        block_barrier();
        for (int step = 1; step < kThreads; step *= 2) {
            if (e >= step) rows += ends[e - step];
            block_barrier();
            ends[e] = rows;
            block_barrier();
        }
        if (e < experts) offsets[e + 1] = rows;
        if (e == 0) offsets[0] = 0;
    }
};

// A block for each (e, p) writes what rank p sent for expert e: `first` = where these rows are used, `from` = where
// they were received.
struct ExpertArrivals {
    static constexpr int kThreads = 256;
    Global<int32_t> index;
    Global<const int64_t> counts;  // (ranks, experts)
    int32_t ranks, experts;

    DEVICE void operator()() const {
        const int32_t e = int32_t(block_x()), p = int32_t(block_y()), here = p * experts + e;
        int64_t first = 0, from = 0;
        for (int32_t i = thread(); i < ranks * experts; i += kThreads) {
            const int64_t rows = counts[i];
            const int32_t of_rank = i / experts, of_expert = i % experts;
            if (of_expert < e || (of_expert == e && of_rank < p)) first += rows;
            if (i < here) from += rows;
        }
        first = block_sum<kThreads>(first);
        from = block_sum<kThreads>(from);
        const int64_t rows = counts[here];
        for (int64_t i = thread(); i < rows; i += kThreads) index[first + i] = int32_t(from + i);
    }
};

// ---------------------------------------------------------------- moves of rows
// Rows are cut into pieces of N elements, and `lanes` threads, a power of two up to a warp, share a row: so lanes take
// neighbouring pieces, and of narrow rows a warp takes several. A thread has kAtOnce pieces under way.
constexpr int kMoveThreads = 256, kAtOnce = 4;

struct RowsOfPieces {
    int64_t rows, pieces;
    int lanes;

    RowsOfPieces(int64_t rows, int64_t pieces)
        : rows(rows), pieces(pieces), lanes(int(std::min(uint64_t(kWarp), std::bit_ceil(uint64_t(pieces))))) {}
    int64_t blocks() const { return ceil_div(rows, kMoveThreads / lanes); }

    // This thread's row, and the first of its pieces, which are `lanes` apart.
    DEVICE int64_t row() const { return block_x() * (kMoveThreads / lanes) + thread() / lanes; }
    DEVICE int64_t piece() const { return thread() % lanes; }
};

// Gather: out[i] = x[index[i]], and per is 1. Scatter: out[index[i * per + j]] = x[i], which is read once.
template <class X, int N, bool kGather>
struct MoveRows {
    static constexpr int kThreads = kMoveThreads;
    Global<X> out;
    Global<const X> x;
    Global<const int32_t> index;
    RowsOfPieces n;
    int64_t per;

    DEVICE void operator()() const {
        const int64_t i = n.row(), width = n.pieces * N;
        if (i >= n.rows) return;
        const Global<const X> from = x + (kGather ? int64_t(index[i]) : i) * width;
        for (int64_t first = n.piece(); first < n.pieces; first += kAtOnce * n.lanes) {
            Vec<X, N> held[kAtOnce];
            for (int k = 0; k < kAtOnce; k++) {
                const int64_t piece = first + k * n.lanes;
                if (piece < n.pieces) held[k] = load<N>(from + piece * N);
            }
            for (int64_t j = 0; j < per; j++) {
                const Global<X> to = out + (kGather ? i : int64_t(index[i * per + j])) * width;
                for (int k = 0; k < kAtOnce; k++) {
                    const int64_t piece = first + k * n.lanes;
                    if (piece < n.pieces) store<N>(to + piece * N, held[k]);
                }
            }
        }
    }
};

// Sums in float, in order of j, rounded once.
template <class T, int N>
struct SumRowsAt {
    static constexpr int kThreads = kMoveThreads;
    Global<T> out;
    Global<const T> x;
    Global<const int32_t> index;  // (rows, per)
    RowsOfPieces n;
    int64_t per;
    bool add;  // to what out holds

    DEVICE void operator()() const {
        const int64_t row = n.row(), width = n.pieces * N;
        if (row >= n.rows) return;
        for (int64_t first = n.piece(); first < n.pieces; first += kAtOnce * n.lanes) {
            float sums[kAtOnce][N] = {};
            if (add) add_pieces(sums, out + row * width, first);
            for (int64_t j = 0; j < per; j++) add_pieces(sums, x + int64_t(index[row * per + j]) * width, first);
            for (int k = 0; k < kAtOnce; k++) {
                const int64_t piece = first + k * n.lanes;
                Vec<T, N> rounded;
                for (int i = 0; i < N; i++) rounded[i] = T(sums[k][i]);
                if (piece < n.pieces) store<N>(out + row * width + piece * N, rounded);
            }
        }
    }
    // sums += this thread's pieces of a row, from `first` on.
    DEVICE void add_pieces(float (&sums)[kAtOnce][N], Global<const T> from, int64_t first) const {
        for (int k = 0; k < kAtOnce; k++) {
            const int64_t piece = first + k * n.lanes;
            if (piece >= n.pieces) continue;
            const Vec<T, N> v = load<N>(from + piece * N);
            for (int i = 0; i < N; i++) sums[k][i] += float(v[i]);
        }
    }
};

template <bool kGather, class X>
void move_rows(const Op& op, X* out, const X* x, const int32_t* index, int64_t rows, int64_t per, int64_t width) {
    const auto launch = [&]<int N> {
        const RowsOfPieces n(rows, width / N);
        op.launch(MoveRows<X, N, kGather>{out, x, index, n, per}, {.grid = {n.blocks()}});
    };
    if (vector_width<X>(width, out, x) > 1)
        launch.template operator()<16 / sizeof(X)>();
    else
        launch.template operator()<1>();
}

}  // namespace

template <class B>
void sort_by_expert(Stream stream, int32_t* permutation, const int32_t* topk_ids, const int64_t* tokens_per_expert,
                    int64_t count, int64_t experts) {
    if (count == 0) return;
    check(experts <= kMostExperts, "sort_by_expert of more than 512 experts");
    check(count <= std::numeric_limits<int32_t>::max(), "sort_by_expert of 2^31 assignments or more");
    const Op op(__func__, stream, {{"count", count}, {"experts", experts}}, moved<int32_t>(1, count, 2));
    const int64_t length = std::max(kLeastChunk, ceil_div(ceil_div(count, kMostChunks), kWarp) * kWarp);
    const int64_t blocks = ceil_div(ceil_div(count, length), kSortWarps), number = blocks * kSortWarps;
    const Chunks chunks{topk_ids, count, length, int32_t(experts), int(std::bit_width(uint64_t(experts - 1)))};
    int32_t* starts = op.template scratch<int32_t>(number * experts);
    op.launch(CountChunks{starts, chunks}, {.grid = {blocks}});
    op.launch(StartChunks{starts, tokens_per_expert, number, int32_t(experts)}, {.grid = {ceil_div(experts, kWarp)}});
    op.launch(PlaceChunks{permutation, starts, chunks}, {.grid = {blocks}});
}

template <class B>
void expert_offsets(Stream stream, int64_t* offsets, const int64_t* counts, int64_t ranks, int64_t experts) {
    check(experts <= kMostExperts, "expert_offsets of more than 512 experts");
    const Op op(__func__, stream, {{"ranks", ranks}, {"experts", experts}}, moved<int64_t>(ranks, experts, 1));
    op.launch(ExpertOffsets{offsets, counts, ranks, experts}, {.grid = {1}});
}

template <class B>
void expert_arrivals(Stream stream, int32_t* index, const int64_t* counts, int64_t ranks, int64_t experts) {
    const Op op(__func__, stream, {{"ranks", ranks}, {"experts", experts}}, moved<int64_t>(ranks, experts, 1));
    op.launch(ExpertArrivals{index, counts, int32_t(ranks), int32_t(experts)}, {.grid = {experts, ranks}});
}

template <class B, class X>
void gather_rows(Stream stream, X* out, const X* x, const int32_t* index, int64_t count, int64_t width) {
    if (count == 0) return;
    move_rows<true>(Op(__func__, stream, {{"rows", count}, {"width", width}}, ragged(moved<X>(count, width, 2))), out,
                    x, index, count, 1, width);
}

template <class B, class X>
void scatter_rows(Stream stream, X* out, const X* x, const int32_t* index, int64_t rows, int64_t per, int64_t width) {
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"per", per}, {"width", width}},
                ragged(moved<X>(rows, width, per + 1)));
    move_rows<false>(op, out, x, index, rows, per, width);
}

template <class B>
void sum_rows_at(Stream stream, typename B::T* out, const typename B::T* x, const int32_t* index, int64_t rows,
                 int64_t per, int64_t width, Into into) {
    using T = typename B::T;
    if (rows == 0) return;
    const Op op(__func__, stream, {{"rows", rows}, {"per", per}, {"width", width}},
                moved<B>(rows, width, per + (into == Into::add ? 2 : 1)));
    const auto launch = [&]<int N> {
        const RowsOfPieces n(rows, width / N);
        op.launch(SumRowsAt<T, N>{out, x, index, n, per, into == Into::add}, {.grid = {n.blocks()}});
    };
    if (vector_width<T>(width, out, x) > 1)
        launch.template operator()<16 / sizeof(T)>();
    else
        launch.template operator()<1>();
}

#define INSTANTIATE(B)                                                                                    \
    template void sort_by_expert<B>(Stream, int32_t*, const int32_t*, const int64_t*, int64_t, int64_t);  \
    template void expert_offsets<B>(Stream, int64_t*, const int64_t*, int64_t, int64_t);                  \
    template void expert_arrivals<B>(Stream, int32_t*, const int64_t*, int64_t, int64_t);                 \
    template void gather_rows<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t);           \
    template void scatter_rows<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t); \
    template void sum_rows_at<B>(Stream, B::T*, const B::T*, const int32_t*, int64_t, int64_t, int64_t, Into);
SLUICE_CUDA_BACKENDS(INSTANTIATE)
// What is kept in A where T is not: weights of assignments.
template void gather_rows<Cuda<bf16>>(Stream, float*, const float*, const int32_t*, int64_t, int64_t);
template void scatter_rows<Cuda<bf16>>(Stream, float*, const float*, const int32_t*, int64_t, int64_t, int64_t);

}  // namespace sluice
