// Attention with its gates, in order: project; query, key, value gates; QK-norm; RoPE; softmax(q k / sqrt(head_dim)) v;
// sdpa_norm; sdpa_activation; sdpa gates; output projection; output gates. x and the result are (tokens, hidden).
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "layers/gate.h"
#include "layers/projection.h"

namespace sluice {

template <class B>
class Attention {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Attention(const ModelSpec& model, int64_t layer);

    struct Params {
        T *query = nullptr, *output = nullptr;  // (heads dim, hidden), (hidden, heads dim)
        typename Projection<B>::Params key, value;
        std::vector<typename Gates<B>::Params> gates;
        T *query_norm = nullptr, *key_norm = nullptr, *sdpa_norm = nullptr;  // (dim)
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& prefix) const {
        const Init init{Init::normal, n_.init_std}, one{Init::one};
        v(prefix + "query.weight", p.query, {q_width(), n_.hidden}, init, Decay::yes);
        key_.params(v, p.key, prefix + "key.", n_.init_std);
        value_.params(v, p.value, prefix + "value.", n_.init_std);
        gates_.params(v, p.gates, prefix, n_.init_std);
        const Init residual{Init::normal, n_.init_std / std::sqrt(2.0 * double(n_.layers))};
        v(prefix + "output.weight", p.output, {n_.hidden, q_width()}, residual, Decay::yes);
        if (n_.qk_norm) v(prefix + "query_norm.weight", p.query_norm, {n_.head_dim}, one, Decay::no);
        if (n_.qk_norm) v(prefix + "key_norm.weight", p.key_norm, {n_.head_dim}, one, Decay::no);
        if (sdpa_norm()) v(prefix + "sdpa_norm.weight", p.sdpa_norm, {n_.head_dim}, one, Decay::no);
    }

    // What backward reads. Names without a gate or norm of their own stay null.
    struct Acts {
        T* q = nullptr;                     // (tokens, heads, dim)
        typename Projection<B>::Acts k, v;  // (tokens, kv_heads, dim)
        std::vector<typename Gates<B>::Acts> gates;
        T *q_normed = nullptr, *k_normed = nullptr;
        A *q_rstd = nullptr, *k_rstd = nullptr;  // (tokens, heads), (tokens, kv_heads)
        T* sdpa = nullptr;                       // (tokens, heads, dim)
        A* lse = nullptr;                        // (sequences, heads, length)
        T* sdpa_normed = nullptr;
        A* sdpa_rstd = nullptr;  // (tokens, heads)
        T* activated = nullptr;
        T* out = nullptr;  // (tokens, hidden)
        // Where the passes above left each stage's result.
        T *q_gated = nullptr, *k_gated = nullptr, *q_final = nullptr, *k_final = nullptr, *v_final = nullptr;
        T *normed = nullptr, *mixed = nullptr;
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        const int64_t H = n_.heads, K = n_.kv_heads, D = n_.head_dim;
        v("q", a.q, {tokens, H, D});
        key_.acts(v, a.k, tokens);
        value_.acts(v, a.v, tokens);
        gates_.acts(v, a.gates, tokens);
        if (n_.qk_norm) {
            v("q_normed", a.q_normed, {tokens, H, D});
            v("k_normed", a.k_normed, {tokens, K, D});
            v("q_rstd", a.q_rstd, {tokens, H});
            v("k_rstd", a.k_rstd, {tokens, K});
        }
        v("sdpa", a.sdpa, {tokens, H, D});
        v("lse", a.lse, {tokens, H});
        if (sdpa_norm()) {
            v("sdpa_normed", a.sdpa_normed, {tokens, H, D});
            v("sdpa_rstd", a.sdpa_rstd, {tokens, H});
        }
        if (sdpa_activation()) v("activated", a.activated, {tokens, H, D});
        v("out", a.out, {tokens, n_.hidden});
    }

    struct Scratch {
        T *dmixed = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;
        A* delta = nullptr;  // (tokens, heads)
        typename Gates<B>::Scratch gates;
        typename Projection<B>::Scratch key, value;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        const int64_t H = n_.heads, K = n_.kv_heads, D = n_.head_dim;
        v("dmixed", s.dmixed, {tokens, H, D});
        v("dq", s.dq, {tokens, H, D});
        v("dk", s.dk, {tokens, K, D});
        v("dv", s.dv, {tokens, K, D});
        v("delta", s.delta, {tokens, H});
        gates_.scratch(v, s.gates, tokens);
        key_.scratch(v, s.key, tokens);
        value_.scratch(v, s.value, tokens);
    }

    // Returns the layer's result, a buffer of the acts.
    T* forward(const Pass<B>&, const Params&, Acts&, const T* x) const;
    // dx is overwritten; dout is used up.
    void backward(const Pass<B>&, const Params& w, Params& dw, const Acts&, const Scratch&, T* dx, T* dout,
                  const T* x) const;

 private:
    int64_t q_width() const { return n_.heads * n_.head_dim; }
    bool sdpa_norm() const { return n_.attention.sdpa_norm == SdpaNorm::rmsnorm; }
    bool sdpa_activation() const { return n_.attention.sdpa_activation == SdpaActivation::silu; }
    AttentionShape shape(const Batch& batch) const;

    ModelSpec n_;
    Projection<B> key_, value_;
    Gates<B> gates_;
};

}  // namespace sluice
