// Which attention a library may make for a GPU, and the workspace that its backward pass needs.
//
// With bits that repeat, cuDNN's backward pass writes the gradients of all scores, in bf16, before it sums dq. It
// also keeps dk and dv of each query head, in bf16, before it sums those of the heads that share a key-value head.
// What grows with length^2 would soon outgrow a GPU: backward is called for a chunk of the sequences or, where not even
// one fits, of one sequence's key-value heads with their query heads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/backend.h"
#include "kernels/ops.h"

namespace sluice {

// Four sequences of 2048 tokens with 32 heads of 128, two of 4096 with 16, or two heads of 16,384 fit: enough blocks
// for every multiprocessor. More would buy no speed, and is taken from activations.
constexpr size_t kAttentionWorkspace = size_t{1200} << 20;  // bytes
constexpr size_t kWorkspaceAligned = 256;                   // bytes: where a workspace begins

// Lengths at which no engine is known to be wrong: at odd multiples of 64, some gave NaN for rows with small sums.
constexpr int64_t kLibraryLengths = 128;
constexpr int64_t kLibraryDims = 32, kMostLibraryDim = 128;  // multiples of the former

// Why a library is not asked for attention of this shape, of bf16; empty: it is.
constexpr const char* why_own_attention(const AttentionShape& n) {
    if (n.sequences < 1 || n.length < 1 || n.length % kLibraryLengths != 0) return "length is no multiple of 128";
    if (n.dim < 1 || n.dim % kLibraryDims != 0 || n.dim > kMostLibraryDim)
        return "head_dim is none of 32, 64, 96 and 128";
    return "";
}

// At least what the library asks for, of so many sequences and query heads.
constexpr size_t attention_workspace_bound(int64_t sequences, int64_t heads, int64_t length, int64_t dim) {
    constexpr size_t kMore = 8192;  // bytes: counters, and what rounding adds
    const size_t rows = size_t(sequences) * size_t(heads) * size_t(length);
    return rows * size_t(length) * 2 + 2 * rows * size_t(dim) * 2 + kMore;
}

// What backward is called for at a time: whole sequences, or key-value heads of one. All chunks are alike.
struct AttentionChunk {
    int64_t sequences = 0, kv_heads = 0;  // 0: none fits
    size_t bytes = 0;                     // of workspace, with what aligns it
};
constexpr AttentionChunk attention_chunk(const AttentionShape& n, size_t most = kAttentionWorkspace) {
    AttentionChunk chunk;
    const auto consider = [&](int64_t sequences, int64_t kv_heads) {
        const int64_t heads = kv_heads * (n.heads / n.kv_heads);
        const size_t bytes = attention_workspace_bound(sequences, heads, n.length, n.dim) + kWorkspaceAligned;
        if (bytes <= most && sequences * kv_heads > chunk.sequences * chunk.kv_heads)
            chunk = {sequences, kv_heads, bytes};
    };
    for (int64_t s = n.sequences; s > 0; s--)
        if (n.sequences % s == 0) consider(s, n.kv_heads);
    for (int64_t k = n.kv_heads; k > 0; k--)
        if (n.kv_heads % k == 0) consider(1, k);
    return chunk;
}

// Bytes that attention_backward wants as workspace; 0: nothing.
template <class B>
constexpr size_t attention_workspace(const AttentionShape& n) {
    if constexpr (std::is_same_v<typename B::T, bf16>)
        return *why_own_attention(n) ? 0 : attention_chunk(n).bytes;
    else
        return 0;
}

}  // namespace sluice
