// The language-model head and its loss, one chunk of tokens at a time, so that the logits of all tokens never exist
// together: logits = x W^T, cross-entropy and, in training, the gradients of x and W from the chunk's logits. A tensor
// group splits the vocabulary: ranks exchange three numbers per token, never logits.
#pragma once
#include <algorithm>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"

namespace sluice {

template <class B>
class LmHead {
 public:
    using T = typename B::T;
    using A = typename B::A;

    LmHead(const ModelSpec& model, const MeshCoord& coord)
        : vocab_(model.vocab),
          hidden_(model.hidden),
          coord_(coord),
          max_ids_(ceil_div(model.vocab, coord.tensor)),
          parts_(coord.tensor),
          ids_(slice_of(model.vocab, coord.tensor, coord.tensor_rank)) {}

    struct Scratch {
        T* logits = nullptr;  // (chunk, ids of this rank)
        // (chunk, 3): max, sum of exponentials, target's logit; (parts, chunk, 3): of all tensor ranks; (chunk).
        A *stats = nullptr, *all_stats = nullptr, *lse = nullptr;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        const int64_t rows = chunk(tokens);
        v("logits", s.logits, {rows, max_ids_});
        v("stats", s.stats, {rows, 3});
        v("all_stats", s.all_stats, {parts_, rows, 3});
        v("lse", s.lse, {rows});
    }
    const Slice& ids() const { return ids_; }  // the part of the vocabulary on this rank

    // w (ids of this rank, hidden); losses, targets (tokens); x (rows, hidden).
    void forward(const Pass<B>&, const T* w, const Scratch&, A* losses, const T* x, const int32_t* targets) const;
    // The same, and with L = pass.scale * sum(losses): dx = and dw += the gradient of L.
    void forward_backward(const Pass<B>&, const T* w, typename B::G* dw, const Scratch&, A* losses, T* dx, const T* x,
                          const int32_t* targets) const;
    // The cost of GEMM and loss. The model counts the parameters: they may be the embedding's.
    Cost cost(const Workload& load) const;

 private:
    // Tokens of a chunk: as many as have B::kLogits logits, but at least 64, which keeps the GEMMs efficient.
    int64_t chunk(int64_t tokens) const { return std::min(tokens, std::max<int64_t>(64, B::kLogits / max_ids_)); }
    // Logits, losses and lse of `rows` tokens. exponentials (rows, ids of this rank): exp(logit - max), may alias the
    // logits; null to skip.
    void chunk_forward(const Pass<B>&, const T* w, const Scratch&, T* exponentials, A* losses, const T* x,
                       const int32_t* targets, int64_t rows) const;

    int64_t vocab_, hidden_;
    MeshCoord coord_;
    int64_t max_ids_, parts_;  // ids on the rank with the most; ranks of the tensor group
    Slice ids_;
};

}  // namespace sluice
