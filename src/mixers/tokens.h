// What cores have in common: the tensors that they read and write, and the keys that a token attends to.
#pragma once
#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"

namespace sluice {

// Rows are tokens: of a token q has (heads, dim), k and v have (kv_heads, dim); heads: those on this rank. X is T, or
// const T.
template <class X>
struct Qkv {
    Rows<X> q, k, v;
};

// The heads of a layer on a rank, and its window in tokens.
class TokenMixing {
 public:
    TokenMixing(const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    int64_t heads() const { return heads_; }  // on this rank
    int64_t dim() const { return dim_; }
    int64_t width() const { return heads_ * dim_; }              // channels on this rank
    int64_t whole_width() const { return whole_heads_ * dim_; }  // channels of all ranks together
    AttentionShape shape(const Batch& batch) const;
    // Adds the FLOPs per token of scores and weighted sums, forward and backward: 12 per channel and key, with the mean
    // number of keys that a token of the sequence attends to.
    void add_scores(Cost& cost, const Workload& load) const;

 private:
    int64_t whole_heads_, heads_, kv_heads_, dim_, window_;
};

}  // namespace sluice
