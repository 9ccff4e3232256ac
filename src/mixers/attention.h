// Attention with its gates, in order: project; query, key, value gates; QK-norm; RoPE; softmax(q k / sqrt(head_dim)) v;
// sdpa_norm; sdpa_activation; sdpa gates; output projection; output gates. A tensor group cuts the heads; with fewer
// key-value heads than ranks neighbours hold the same one.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "layers/gate.h"
#include "layers/projection.h"
#include "layers/swiglu.h"

namespace sluice {

template <class B>
class Attention {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Attention(const ModelSpec& model, int64_t layer, const Place& place);

    struct Params {
        T *query = nullptr, *output = nullptr;  // (heads dim, hidden), (hidden, heads dim), heads of this rank
        typename Projection<B>::Params key, value;
        std::vector<typename Gates<B>::Params> gates;
        T *query_norm = nullptr, *key_norm = nullptr, *sdpa_norm = nullptr;  // (dim)
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& block) const {
        const std::string prefix = block + "attention.";
        const Init init{Init::normal, n_.init_std}, one{Init::one};
        const int64_t width = n_.heads * n_.head_dim;
        const Cut rows{0, place_.tensor}, columns{1, place_.tensor}, partial{-1, 1, false, Cut::over_tensor};
        v(prefix + "query.weight", p.query, {width, n_.hidden}, init, Decay::yes, rows);
        key_.params(v, p.key, prefix + "key.", n_.init_std);
        value_.params(v, p.value, prefix + "value.", n_.init_std);
        gates_.params(v, p.gates, prefix, n_.init_std);
        v(prefix + "output.weight", p.output, {n_.hidden, width}, residual_init(n_), Decay::yes, columns);
        if (n_.qk_norm) v(prefix + "query_norm.weight", p.query_norm, {n_.head_dim}, one, Decay::no, partial);
        if (n_.qk_norm) v(prefix + "key_norm.weight", p.key_norm, {n_.head_dim}, one, Decay::no, partial);
        if (sdpa_norm()) v(prefix + "sdpa_norm.weight", p.sdpa_norm, {n_.head_dim}, one, Decay::no, partial);
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
        T* out = nullptr;  // (rows, hidden)
        // Where the passes above left each stage's result.
        T *q_gated = nullptr, *k_gated = nullptr, *q_final = nullptr, *k_final = nullptr, *v_final = nullptr;
        T *normed = nullptr, *mixed = nullptr;
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens, int64_t rows) const {
        const int64_t H = heads_, K = kv_heads_, D = n_.head_dim;
        v("q", a.q, {tokens, H, D});
        key_.acts(v, a.k, tokens);
        value_.acts(v, a.v, tokens);
        gates_.acts(v, a.gates, tokens, rows);
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
        v("out", a.out, {rows, n_.hidden});
    }

    struct Scratch {
        T *dmixed = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;
        T* doutput_gates = nullptr;  // (rows, hidden): what reaches x through their scores
        A* delta = nullptr;          // (tokens, heads)
        typename Gates<B>::Scratch gates;
        typename Projection<B>::Scratch key, value;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens, int64_t rows, bool backward) const {
        if (!backward) return;
        const int64_t H = heads_, K = kv_heads_, D = n_.head_dim;
        if (gates_.any(Position::output)) v("doutput_gates", s.doutput_gates, {rows, n_.hidden});
        v("dmixed", s.dmixed, {tokens, H, D});
        v("dq", s.dq, {tokens, H, D});
        v("dk", s.dk, {tokens, K, D});
        v("dv", s.dv, {tokens, K, D});
        v("delta", s.delta, {tokens, H});
        gates_.scratch(v, s.gates, tokens);
        key_.scratch(v, s.key, tokens);
        value_.scratch(v, s.value, tokens);
    }

    // Returns the layer's result, a buffer of the acts. x and all that is as large: (rows, hidden).
    T* forward(const Pass<B>&, const Params&, Acts&, const Scratch&, const T* x) const;
    // dx is overwritten; dout is used up where there are output gates.
    bool uses_up_dout() const { return gates_.any(Position::output); }
    void backward(const Pass<B>&, const Params& w, Params& dw, const Acts&, const Scratch&, T* dx, T* dout,
                  const T* x) const;

 private:
    int64_t q_width() const { return heads_ * n_.head_dim; }
    bool sdpa_norm() const { return n_.attention.sdpa_norm == SdpaNorm::rmsnorm; }
    bool sdpa_activation() const { return n_.attention.sdpa_activation == SdpaActivation::silu; }
    AttentionShape shape(const Batch& batch) const;

    ModelSpec n_;
    Place place_;
    int64_t heads_, kv_heads_;  // of this rank
    Projection<B> key_, value_;
    Gates<B> gates_;
};

}  // namespace sluice
