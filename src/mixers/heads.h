// The input of a core: queries, keys and values of every head. In order: project; query, key and value gates; QK-norm;
// RoPE. A tensor group splits the heads; with fewer key-value heads than ranks, neighbouring ranks hold the same head.
//
// The layer computes the projections, in one product of x with all matrices that read it. Queries, then keys, then
// values are its first columns.
#pragma once
#include <string>

#include "layers/gate.h"
#include "layers/projection.h"
#include "mixers/tokens.h"

namespace sluice {

template <class B>
class Heads {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Heads(const ModelSpec& model, const MeshCoord& coord);

    int64_t end() const { return value_.end(); }  // columns of the product

    template <class X>
    struct ParamsOf {
        X* query = nullptr;  // (heads dim, hidden), the first of the layer's matrix
        typename Projection<B>::template ParamsOf<X> key, value;
        X *query_norm = nullptr, *key_norm = nullptr;  // (dim)
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void matrices(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        v(prefix + "query.weight", p.query, {whole_heads_ * dim_, hidden_}, Init{Init::normal, init_std_}, Role::map,
          ShardSpec::split(0, coord_.tensor));
        key_.params(v, p.key, prefix + "key.", init_std_);
        value_.params(v, p.value, prefix + "value.", init_std_);
    }
    template <class V, class X>
    void norms(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        if (!qk_norm_) return;
        const ShardSpec partial = ShardSpec::partial();
        v(prefix + "query_norm.weight", p.query_norm, {dim_}, Init{Init::one}, Role::plain, partial);
        v(prefix + "key_norm.weight", p.key_norm, {dim_}, Init{Init::one}, Role::plain, partial);
    }

    struct Acts {
        typename Projection<B>::Acts k, v;
        Rows<T> q_gated{}, k_gated{};                // (heads, dim), (kv_heads, dim) a row
        T *q_normed = nullptr, *k_normed = nullptr;  // (tokens, heads, dim), (tokens, kv_heads, dim): with QK-norm
        A *q_rstd = nullptr, *k_rstd = nullptr;      // (tokens, heads), (tokens, kv_heads)
        Rows<T> q_out{}, k_out{}, v_out{};           // input of the core: the product's columns, or later buffers
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        key_.acts(v, a.k, tokens);
        value_.acts(v, a.v, tokens);
        if (!qk_norm_) return;
        v("q_normed", a.q_normed, {tokens, heads_, dim_});
        v("k_normed", a.k_normed, {tokens, kv_heads_, dim_});
        v("q_rstd", a.q_rstd, {tokens, heads_});
        v("k_rstd", a.k_rstd, {tokens, kv_heads_});
    }

    struct Scratch {
        typename Projection<B>::Scratch key, value;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        key_.scratch(v, s.key, tokens);
        value_.scratch(v, s.value, tokens);
    }

    // Leaves its results in a.q_out, a.k_out and a.v_out. Without QK-norm it rotates the product in place.
    void forward(const Pass<B>&, const Params&, Acts&, Rows<T> product, const GatesForward<B>& gate) const;
    // Where the gradients of queries, keys and values, as the core reads them, are expected.
    Qkv<T> gradients(const Scratch& s, Rows<T> dproduct) const {
        return {dproduct, key_.gradient(s.key, dproduct), value_.gradient(s.value, dproduct)};
    }
    // How these and its results lie. gates: those of the layer, after which the product's columns end.
    AttentionStrides strides(const Gates<B>& gates, bool trains) const;
    // From these, the gradients of its columns of the product.
    void backward(const Pass<B>&, const Params& w, Gradients& dw, const Acts&, const Scratch&, Rows<T> dproduct,
                  Rows<const T> product, const GatesBackward<B>& gate) const;
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
