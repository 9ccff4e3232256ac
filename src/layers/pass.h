// What all layers use in one forward or backward pass: the batch, tables, buffers, and the collectives that gather
// tokens and sum partial sums over the tensor group.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "parallel/mesh.h"
#include "parallel/rows.h"

namespace sluice {

// A micro-batch as layers see it: sequences of one length, tokens = sequences * length.
struct Batch {
    int64_t sequences = 0, length = 0;
    int64_t tokens() const { return sequences * length; }
};

template <class B>
struct LayerProbe;

// What the scratch of a layer is for.
struct ScratchUse {
    Batch batch;    // the largest
    int64_t rows;   // tokens that norms and residual hold on this rank
    bool backward;  // or probes, which use the same tensors
    bool trains;    // backward itself
};

// Residual and norms are stored for `rows` of the pass's tokens: all of them, or with sequence parallelism this rank's
// slice. Between gather_sequence and reduce_partial a layer sees all tokens, and its result is a partial sum over the
// tensor group.
//
//     forward:   x of all tokens = gather_sequence(x of rows)        y of rows = reduce_partial(partial sums of y)
//     backward:  dx of rows = reduce_partial(partial sums of dx)     dy of all tokens = gather_sequence(dy of rows)
//
// Each is the other's partner in backward.
template <class B>
struct Pass {
    using T = typename B::T;

    Stream stream;
    Batch batch;
    int64_t rows = 0;                                    // tokens that norms and residual hold on this rank
    const typename B::A *cos = nullptr, *sin = nullptr;  // (length, dim / 2)
    const int32_t* doc_start = nullptr;                  // (tokens): where a token's document begins; null: no mask
    Mesh* mesh = nullptr;
    const int64_t* row_counts = nullptr;    // (ranks of mesh->sequence): rows of each
    double scale = 0;                       // weight of one token's loss in the objective; 0: no backward follows
    struct Routing* routing = nullptr;      // (layers), in models with experts
    const LayerProbe<B>* probes = nullptr;  // (layers), where this pass is looked at
    // Buffers, (tokens, hidden) each with sequence parallelism, else empty.
    T *gathered = nullptr, *partial = nullptr, *dpartial = nullptr;

    int64_t tokens() const { return batch.tokens(); }

    // Returns x of all tokens, (tokens, width), from x (rows, width) of each rank: in `buffer`, or x itself where each
    // rank has all tokens.
    const T* gather_sequence(T* buffer, const T* x, int64_t width) const {
        if (mesh->sequence->size() == 1) return x;
        all_gather_rows(*mesh->sequence, buffer, x, row_counts, width);
        return buffer;
    }
    // Where a layer writes its partial sums (tokens, width): `buffer`, or `result` itself where that has all tokens.
    T* partial_buffer(T* buffer, T* result) const { return mesh->sequence->size() == 1 ? result : buffer; }
    // result (rows, width) = this rank's rows of the sum of partial_sums (tokens, width) over the tensor group.
    void reduce_partial(T* result, T* partial_sums, int64_t width) const {
        mesh->hidden->all_reduce(partial_sums, tokens() * width);
        if (mesh->sequence->size() > 1) reduce_scatter_rows(*mesh->sequence, result, partial_sums, row_counts, width);
    }
};

}  // namespace sluice
