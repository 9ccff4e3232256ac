// The input of a core: queries, keys and values of every head. In order: project; query, key and value gates; QK-norm;
// RoPE. A tensor group splits the heads; with fewer key-value heads than ranks, neighbouring ranks hold the same head.
#pragma once
#include <string>

#include "layers/gate.h"
#include "layers/projection.h"

namespace sluice {

template <class B>
class Heads {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Heads(const ModelSpec& model, const MeshCoord& coord);

    struct Params {
        T* query = nullptr;  // (heads dim, hidden)
        typename Projection<B>::Params key, value;
        T *query_norm = nullptr, *key_norm = nullptr;  // (dim)
    };
    template <class V>
    void matrices(V&& v, Params& p, const std::string& prefix) const {
        v(prefix + "query.weight", p.query, {whole_heads_ * dim_, hidden_}, Init{Init::normal, init_std_}, Role::map,
          ShardSpec::split(0, coord_.tensor));
        key_.params(v, p.key, prefix + "key.", init_std_);
        value_.params(v, p.value, prefix + "value.", init_std_);
    }
    template <class V>
    void norms(V&& v, Params& p, const std::string& prefix) const {
        if (!qk_norm_) return;
        const ShardSpec partial = ShardSpec::partial();
        v(prefix + "query_norm.weight", p.query_norm, {dim_}, Init{Init::one}, Role::plain, partial);
        v(prefix + "key_norm.weight", p.key_norm, {dim_}, Init{Init::one}, Role::plain, partial);
    }

    struct Acts {
        T* q = nullptr;                                          // (tokens, heads, dim): projected
        typename Projection<B>::Acts k, v;                       // (tokens, kv_heads, dim): projected
        T *q_gated = nullptr, *k_gated = nullptr;                // as q, k: gated, or q, k themselves without a gate
        T *q_normed = nullptr, *k_normed = nullptr;              // as q, k: with QK-norm, normalised and rotated
        A *q_rstd = nullptr, *k_rstd = nullptr;                  // (tokens, heads), (tokens, kv_heads)
        T *q_out = nullptr, *k_out = nullptr, *v_out = nullptr;  // input of the core: each one of the buffers above
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("q", a.q, {tokens, heads_, dim_});
        key_.acts(v, a.k, tokens);
        value_.acts(v, a.v, tokens);
        if (!qk_norm_) return;
        v("q_normed", a.q_normed, {tokens, heads_, dim_});
        v("k_normed", a.k_normed, {tokens, kv_heads_, dim_});
        v("q_rstd", a.q_rstd, {tokens, heads_});
        v("k_rstd", a.k_rstd, {tokens, kv_heads_});
    }

    struct Scratch {
        T *dq = nullptr, *dk = nullptr, *dv = nullptr;  // as q, k, v: written by the core's backward
        typename Projection<B>::Scratch key, value;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        v("dq", s.dq, {tokens, heads_, dim_});
        v("dk", s.dk, {tokens, kv_heads_, dim_});
        v("dv", s.dv, {tokens, kv_heads_, dim_});
        key_.scratch(v, s.key, tokens);
        value_.scratch(v, s.value, tokens);
    }

    // x (tokens, hidden). Leaves its results in a.q_out, a.k_out and a.v_out.
    void forward(const Pass<B>&, const Params&, Acts&, const T* x, const GatesForward<B>& gate) const;
    // Reads s.dq, s.dk and s.dv, and overwrites them. dx (tokens, hidden) += the gradient of x.
    void backward(const Pass<B>&, const Params& w, Params& dw, const Acts&, const Scratch&, T* dx, const T* x,
                  const GatesBackward<B>& gate) const;
    Cost cost(const Workload& load) const;

 private:
    RopeShape rope_shape(const Batch& batch, int64_t heads) const {
        return {batch.sequences, batch.length, heads, dim_};
    }

    MeshCoord coord_;
    int64_t hidden_, dim_, whole_heads_;
    int64_t heads_, kv_heads_;  // on this rank
    bool qk_norm_;
    double norm_eps_, init_std_;
    Projection<B> key_, value_;
};

}  // namespace sluice
