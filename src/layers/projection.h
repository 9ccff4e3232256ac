// The map from hidden state to the heads of a key or value: one matrix, or with Switch Heads (arXiv 2312.07987), for
// each head, the sum over its top-k experts of sigmoid(router score) * expert(x). All experts are computed in one GEMM
// and the top-k then selected, since the paper's variants select all or most of them.
//
// The GEMM is the layer's: it multiplies x by all matrices that read it. A projection knows which columns of the
// product are its own.
#pragma once
#include <string>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/gate.h"
#include "layers/pass.h"
#include "tensor/arena.h"
#include "tensor/params.h"

namespace sluice {

template <class B>
class Projection {
 public:
    using T = typename B::T;

    // heads: of all ranks together. experts: per head; 0: one matrix. begin: its first column of the layer's product.
    Projection(int64_t begin, int64_t hidden, int64_t heads, int64_t dim, int64_t experts, int64_t top_k,
               const MeshCoord& coord)
        : begin_(begin),
          hidden_(hidden),
          whole_heads_(heads),
          heads_(heads / shard_by_head(heads, coord).parts),
          dim_(dim),
          experts_(experts),
          top_k_(top_k),
          sharding_(shard_by_head(heads, coord)) {}

    // One past its last column.
    int64_t end() const { return scores() + heads_ * experts_; }

    template <class X>
    struct ParamsOf {
        X* weight = nullptr;  // (heads dim, hidden), or (heads, experts, dim, hidden)
        X* router = nullptr;  // (heads, experts, hidden)
    };
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix, double init_std) const {
        const Init init{Init::normal, init_std};
        if (experts_ == 0)
            return v(prefix + "weight", p.weight, {whole_heads_ * dim_, hidden_}, init, Role::map, sharding_,
                     Place::below);
        v(prefix + "experts.weight", p.weight, {whole_heads_, experts_, dim_, hidden_}, init, Role::map, sharding_,
          Place::below);
        v(prefix + "router.weight", p.router, {whole_heads_, experts_, hidden_}, init, Role::rows, sharding_,
          Place::below);
    }

    struct Acts {
        T* mixed = nullptr;  // (tokens, heads, dim): with experts, the sum over the picked ones
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        if (experts_ > 0) v("mixed", a.mixed, {tokens, heads_, dim_});
    }

    struct Scratch {
        T* dmixed = nullptr;  // as mixed
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        if (experts_ > 0) v("dmixed", s.dmixed, {tokens, heads_, dim_});
    }

    // Returns the heads, (heads, dim) a row: columns of the product, or a.mixed.
    Rows<T> forward(const Pass<B>&, Acts&, Rows<T> product) const;
    // Elements from a row of the heads to the next, of columns of a product that is so wide or of a.mixed; of the
    // gradient too.
    int64_t stride(int64_t width) const { return experts_ == 0 ? width : heads_ * dim_; }
    // Where the gradient of the heads is expected.
    Rows<T> gradient(const Scratch& s, Rows<T> dproduct) const {
        return experts_ == 0 ? dproduct.columns(begin_) : Rows<T>{s.dmixed, heads_ * dim_};
    }
    // From the gradient of the heads, that of its columns of the product.
    void backward(const Pass<B>&, const Scratch&, Rows<T> dproduct, Rows<const T> product) const;

 private:
    int64_t scores() const { return begin_ + heads_ * std::max<int64_t>(1, experts_) * dim_; }

    int64_t begin_, hidden_, whole_heads_, heads_, dim_, experts_, top_k_;  // heads_: on this rank
    ShardSpec sharding_;
};

}  // namespace sluice
