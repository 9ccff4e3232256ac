// The language-model head and its loss, in chunks of tokens so that all logits never exist at once: logits = x W^T,
// cross-entropy, and, when training, the gradients of x and W while the chunk's logits are at hand. A tensor group
// splits the vocabulary: ranks exchange three numbers a token, never logits.
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
          room_(ceil_div(model.vocab, coord.tensor)),
          parts_(coord.tensor),
          ids_(slice_of(model.vocab, coord.tensor, coord.tensor_rank)) {}

    struct Scratch {
        T* logits = nullptr;                                       // (chunk, ids here)
        A *stats = nullptr, *all_stats = nullptr, *lse = nullptr;  // (chunk, 3), (parts, chunk, 3), (chunk)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        const int64_t rows = chunk(tokens);
        v("logits", s.logits, {rows, room_});
        v("stats", s.stats, {rows, 3});
        v("all_stats", s.all_stats, {parts_, rows, 3});
        v("lse", s.lse, {rows});
    }
    const Slice& ids() const { return ids_; }  // of the vocabulary, here

    // losses (tokens); x (rows, hidden).
    void forward(const Pass<B>&, const T* w, const Scratch&, A* losses, const T* x, const int32_t* targets) const;
    // The same, and dx = gradient of pass.scale * sum(losses), dw +=.
    void forward_backward(const Pass<B>&, const T* w, T* dw, const Scratch&, A* losses, T* dx, const T* x,
                          const int32_t* targets) const;
    // Of the GEMM and the loss. The parameters are counted by the model: they may be the embedding's.
    Cost cost(const Workload& load) const;

 private:
    // Enough rows to keep the GEMMs busy, and at most 64 MiB of logits in float (but 64 rows).
    int64_t chunk(int64_t tokens) const { return std::min(tokens, std::max<int64_t>(64, (int64_t{1} << 24) / room_)); }
    // The logits, losses and lse of some tokens; and the exponentials unless null.
    void chunk_forward(const Pass<B>&, const T* w, const Scratch&, T* exponentials, A* losses, const T* x,
                       const int32_t* targets, int64_t rows) const;

    int64_t vocab_, hidden_;
    MeshCoord coord_;
    int64_t room_, parts_;
    Slice ids_;
};

}  // namespace sluice
