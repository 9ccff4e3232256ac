// What layers share in a pass: shapes, tables, and where tokens and partial sums cross ranks.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "parallel/mesh.h"
#include "parallel/rows.h"

namespace sluice {

// A micro-batch as layers see it: sequences of one length, tokens = sequences * length rows.
struct Batch {
    int64_t sequences = 0, length = 0;
    int64_t tokens() const { return sequences * length; }
};

// Norms, the residual and what acts on them hold `rows` of the pass's tokens: all, or with parallel.sequence this
// rank's part. Between enter and leave a layer sees all tokens, and what it makes is a partial sum over the tensor
// group.
//
//     forward:   all = enter(rows)      rows = leave(partial sums)
//     backward:  d rows = leave(d all)  d all = enter(d rows)        each is the other's partner
template <class B>
struct Pass {
    using T = typename B::T;

    Stream stream;
    Batch batch;
    int64_t rows = 0;                                    // of the tokens, held here by norms and residual
    const typename B::A *cos = nullptr, *sin = nullptr;  // (length, dim / 2)
    const int32_t* first = nullptr;                      // (tokens), or null
    Mesh* mesh = nullptr;
    const int64_t* row_counts = nullptr;  // rows of each rank of mesh->sequence
    double scale = 0;                     // of one token's loss in the objective; 0: no backward follows
    struct Routing* routing = nullptr;    // of each layer with experts
    // (tokens, hidden) each where tokens are shared out, else empty.
    T *entered = nullptr, *partial = nullptr, *dpartial = nullptr;

    int64_t tokens() const { return batch.tokens(); }

    // All tokens' x (tokens, width), from this rank's rows: in `room`, or x itself where it has them all.
    const T* enter(T* room, const T* x, int64_t width) const {
        if (mesh->sequence->size() == 1) return x;
        all_gather_rows(*mesh->sequence, room, x, row_counts, width);
        return room;
    }
    // Where a layer puts its partial sums: `room`, or the result's own place where it has all tokens.
    T* before_leave(T* room, T* result) const { return mesh->sequence->size() == 1 ? result : room; }
    // result (rows, width) = this rank's rows of the sum over the tensor group.
    void leave(T* result, T* partial_sums, int64_t width) const {
        mesh->hidden->all_reduce(partial_sums, tokens() * width);
        if (mesh->sequence->size() > 1) reduce_scatter_rows(*mesh->sequence, result, partial_sums, row_counts, width);
    }
};

}  // namespace sluice
