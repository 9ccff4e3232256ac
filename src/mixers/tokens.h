// What cores have in common: the tensors that they read and fill, and which tokens see which.
#pragma once
#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"

namespace sluice {

// q (tokens, heads, dim); k, v (tokens, kv_heads, dim); heads of this rank.
template <class B>
struct Qkv {
    const typename B::T *q, *k, *v;
};
template <class B>
struct QkvGradients {
    typename B::T *q, *k, *v;
};

// The heads of a layer on a rank, and the window of its tokens.
class TokenMixing {
 public:
    TokenMixing(const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    int64_t heads() const { return heads_; }  // of this rank
    int64_t dim() const { return dim_; }
    int64_t width() const { return heads_ * dim_; }
    int64_t whole_width() const { return whole_heads_ * dim_; }
    AttentionShape shape(const Batch& batch) const;
    // FLOPs of the products of tokens: 12 per channel and key that a token sees, on average over the sequence.
    void add_scores(Cost& cost, const Workload& load) const;

 private:
    int64_t whole_heads_, heads_, kv_heads_, dim_, window_;
};

}  // namespace sluice
