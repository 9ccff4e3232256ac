// Sums over the rows of a matrix, which gradients of parameters are: first over chunks of rows, whose number depends on
// the shape alone, then over the chunks, always in the same order.
//
//     const Tile tile = tile_of(rows, width / N);
//     float* partial = op.scratch<float>(tile.partials() * N);
//     op.launch(Kernel{..., partial, tile}, {.grid = tile.grid()});   // walks over its tile; store_partial(...)
//     op.launch(SumOfChunks<float>{to, partial, tile.chunks, width, true}, sum_of_chunks_shape(width));
#pragma once
#include <algorithm>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/prim/device.cuh"
#include "kernels/cuda/prim/reduce.cuh"

namespace sluice {

// A block of kTileThreads takes a chunk of rows (block_y) of a tile of columns (block_x): `lanes` pieces of
// neighbouring columns, one a thread, and as many rows at a time as it has threads for.
constexpr int kTileThreads = 256;

struct Tile {
    int64_t rows, chunks, rows_of_chunk;
    int pieces;  // of a row
    int lanes;   // a power of two

    DEVICE int piece() const { return int(block_x()) * lanes + thread() % lanes; }
    DEVICE bool inside() const { return piece() < pieces; }
    // The rows of this thread: first() + i * step() < end().
    DEVICE int64_t first() const { return block_y() * rows_of_chunk + thread() / lanes; }
    DEVICE int64_t step() const { return kTileThreads / lanes; }
    DEVICE int64_t end() const { return std::min(rows, (block_y() + 1) * rows_of_chunk); }

    Grid grid() const { return {ceil_div(pieces, lanes), chunks}; }
    int64_t partials() const { return chunks * pieces; }
};

// Enough blocks for a large GPU; enough rows in each for the partial sums to cost little beside the rows.
inline Tile tile_of(int64_t rows, int64_t pieces) {
    constexpr int64_t kBlocks = 512, kRowsOfChunk = 128;
    const int lanes = lanes_for(pieces);
    const int64_t tiles = std::max<int64_t>(1, ceil_div(pieces, lanes));
    const int64_t chunks = std::max<int64_t>(1, std::min(kBlocks / tiles, rows / kRowsOfChunk));
    return {rows, chunks, ceil_div(rows, chunks), int(pieces), lanes};
}

// partial (chunks, pieces, N): of this block's chunk and pieces, the sums of its threads, added up in order. Rows of
// the threads' sums are so long that neither writing nor reading them has bank conflicts.
template <int N>
DEVICE void store_partial(Global<float> partial, const Tile& tile, const Vec<float, N>& sums) {
    constexpr int kRow = kTileThreads + kWarp / N;
    SHARED(float, of_threads, N* kRow);
    for (int i = 0; i < N; i++) of_threads[i * kRow + thread()] = sums[i];
    block_barrier();
    for (int at = thread(); at < N * tile.lanes; at += kTileThreads) {
        const int column = at / N, i = at % N, piece = int(block_x()) * tile.lanes + column;
        if (piece >= tile.pieces) continue;
        float sum = 0;
        for (int t = column; t < kTileThreads; t += tile.lanes) sum += of_threads[i * kRow + t];
        partial[(block_y() * tile.pieces + piece) * N + i] = sum;
    }
}

// to (columns) = or += the sum over chunks of partial (chunks, columns). A block has as many columns as a warp has
// lanes; its warps take chunks in turn.
template <class D>
struct SumOfChunks {
    static constexpr int kThreads = 256;
    Global<D> to;
    Global<const float> partial;
    int64_t chunks, columns;
    bool add;

    DEVICE void operator()() const {
        SHARED(float, of_warps, kThreads);
        const int64_t column = block_x() * kWarp + lane();
        float sum = 0;
        if (column < columns)
            for (int64_t c = warp(); c < chunks; c += kThreads / kWarp) sum += partial[c * columns + column];
        of_warps[thread()] = sum;
        block_barrier();
        if (warp() > 0 || column >= columns) return;
        for (int t = lane() + kWarp; t < kThreads; t += kWarp) sum += of_warps[t];
        to[column] = D((add ? float(to[column]) : 0.0f) + sum);
    }
};
inline LaunchShape sum_of_chunks_shape(int64_t columns) { return {.grid = {ceil_div(columns, kWarp)}}; }

// to (groups) = or += the sum over chunks and columns of partial (chunks, groups, columns). A block (block_x) takes a
// group.
template <class D>
struct SumOfGroups {
    static constexpr int kThreads = 256;
    Global<D> to;
    Global<const float> partial;
    int64_t chunks, columns;
    bool add;

    DEVICE void operator()() const {
        float sum = 0;
        for (int64_t i = thread(); i < chunks * columns; i += kThreads) {
            const int64_t chunk = uint32_t(i) / uint32_t(columns), column = uint32_t(i) % uint32_t(columns);
            sum += partial[(chunk * grid_x() + block_x()) * columns + column];
        }
        sum = block_sum<kThreads>(sum);
        if (thread() == 0) to[block_x()] = D((add ? float(to[block_x()]) : 0.0f) + sum);
    }
};

}  // namespace sluice
