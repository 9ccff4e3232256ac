// The map from hidden state to the heads of a key or value: one matrix, or with Switch Heads (arXiv 2312.07987), for
// each head, the sum over its top-k experts of sigmoid(router score) * expert(x). All experts are computed in one GEMM
// and the top-k then selected, since the paper's variants select all or most of them.
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

    // heads: of all ranks together. experts: per head; 0: one matrix.
    Projection(int64_t hidden, int64_t heads, int64_t dim, int64_t experts, int64_t top_k, const MeshCoord& coord)
        : hidden_(hidden),
          whole_heads_(heads),
          heads_(heads / shard_by_head(heads, coord).parts),
          dim_(dim),
          experts_(experts),
          top_k_(top_k),
          sharding_(shard_by_head(heads, coord)) {}

    struct Params {
        T* weight = nullptr;  // (heads dim, hidden), or (heads, experts, dim, hidden)
        T* router = nullptr;  // (heads, experts, hidden)
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& prefix, double init_std) const {
        const Init init{Init::normal, init_std};
        if (experts_ == 0)
            return v(prefix + "weight", p.weight, {whole_heads_ * dim_, hidden_}, init, Role::map, sharding_);
        v(prefix + "experts.weight", p.weight, {whole_heads_, experts_, dim_, hidden_}, init, Role::map, sharding_);
        v(prefix + "router.weight", p.router, {whole_heads_, experts_, hidden_}, init, Role::rows, sharding_);
    }

    struct Acts {
        T* out = nullptr;                       // (tokens, heads, dim)
        T *expert = nullptr, *score = nullptr;  // (tokens, heads, experts, dim), (tokens, heads, experts)
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("out", a.out, {tokens, heads_, dim_});
        if (experts_ == 0) return;
        v("expert", a.expert, {tokens, heads_, experts_, dim_});
        v("score", a.score, {tokens, heads_, experts_});
    }

    struct Scratch {
        T *dexpert = nullptr, *dscore = nullptr;  // as expert, score
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        if (experts_ == 0) return;
        v("dexpert", s.dexpert, {tokens, heads_, experts_, dim_});
        v("dscore", s.dscore, {tokens, heads_, experts_});
    }

    // x (tokens, hidden). Leaves its result in a.out.
    void forward(const Pass<B>&, const Params&, Acts&, const T* x) const;
    // dx = or += the gradient of x; dout as a.out.
    void backward(const Pass<B>&, const Params& w, Params& dw, const Acts&, const Scratch&, T* dx, const T* dout,
                  const T* x, Into) const;

 private:
    int64_t hidden_, whole_heads_, heads_, dim_, experts_, top_k_;  // heads_: on this rank
    ShardSpec sharding_;
};

}  // namespace sluice
