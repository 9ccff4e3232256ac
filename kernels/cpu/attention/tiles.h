// What the two directions of attention share: tensors of one head as strided views, and scratch of a thread.
#pragma once
#include <vector>

#include "kernels/attention_work.h"
#include "kernels/cpu/attention/mask.h"
#include "kernels/ops.h"

namespace sluice {

// Of one sequence and head: rows (length) of dim channels, `stride` elements from token to token.
template <class A>
struct HeadView {
    A* data;
    int64_t stride;
    A* row(int64_t t) const { return data + t * stride; }
    HeadView from(int64_t t, int64_t channel = 0) const { return {row(t) + channel, stride}; }
};

inline int64_t tiles(const AttentionShape& n) { return (n.length + kTile - 1) / kTile; }

// Of sequence s: head h of x, whose rows are tokens, (heads, dim) each; and the mask by doc_start (sequences, length).
template <class A>
HeadView<A> head_of(const Rows<A>& x, const AttentionShape& n, int64_t s, int64_t h) {
    return {x.row(s * n.length) + h * n.dim, x.stride};
}
// Rows of a dense tensor of query heads.
template <class A>
Rows<A> dense(A* q, const AttentionShape& n) {
    return {q, n.heads * n.dim};
}
inline CausalMask mask_of(const int32_t* doc_start, const AttentionShape& n, int64_t s) {
    return {doc_start ? doc_start + s * n.length : nullptr, n.window};
}

// Scratch of this thread, grown once: of a pair of tiles; and of the transposed keys and values of a head.
template <class A>
A* grown(std::vector<A>& memory, size_t count) {
    if (memory.size() < count) memory.resize(count);
    return memory.data();
}
template <class A>
A* tile_scratch(size_t count) {
    thread_local std::vector<A> memory;
    return grown(memory, count);
}
template <class A>
A* head_scratch(size_t count) {
    thread_local std::vector<A> memory;
    return grown(memory, count);
}

}  // namespace sluice
