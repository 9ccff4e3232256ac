#include "mixers/heads.h"

namespace sluice {
namespace {

int64_t key_experts(const ModelSpec& n) {
    return n.switch_heads.target == SwitchTarget::kv ? n.switch_heads.experts : 0;
}
int64_t value_experts(const ModelSpec& n) {
    return n.switch_heads.target == SwitchTarget::none ? 0 : n.switch_heads.experts;
}

}  // namespace

template <class B>
Heads<B>::Heads(const ModelSpec& model, const MeshCoord& coord)
    : coord_(coord),
      hidden_(model.hidden),
      dim_(model.head_dim),
      whole_heads_(model.heads),
      heads_(model.heads / coord.tensor),
      kv_heads_(model.kv_heads / shard_by_head(model.kv_heads, coord).parts),
      qk_norm_(model.qk_norm),
      norm_eps_(model.norm_eps),
      init_std_(model.init_std),
      key_(heads_ * dim_, model.hidden, model.kv_heads, model.head_dim, key_experts(model), model.switch_heads.top_k,
           coord),
      value_(key_.end(), model.hidden, model.kv_heads, model.head_dim, value_experts(model), model.switch_heads.top_k,
             coord) {}

template <class B>
void Heads<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, Rows<T> product,
                       const GatesForward<B>& gate) const {
    a.q_out = a.q_gated = gate(Position::query, product);
    a.k_out = a.k_gated = gate(Position::key, key_.forward(pass, a.k, product));
    a.v_out = gate(Position::value, value_.forward(pass, a.v, product));

    const RopeShape q_heads = rope_shape(pass.batch, heads_), k_heads = rope_shape(pass.batch, kv_heads_);
    if (qk_norm_) {
        rmsnorm_rope_forward<B>(pass.stream, a.q_normed, a.q_rstd, a.q_gated, w.query_norm, pass.cos, pass.sin, q_heads,
                                norm_eps_);
        rmsnorm_rope_forward<B>(pass.stream, a.k_normed, a.k_rstd, a.k_gated, w.key_norm, pass.cos, pass.sin, k_heads,
                                norm_eps_);
        a.q_out = {a.q_normed, heads_ * dim_};
        a.k_out = {a.k_normed, kv_heads_ * dim_};
    } else {  // in place
        rope<B>(pass.stream, a.q_out, pass.cos, pass.sin, q_heads, +1);
        rope<B>(pass.stream, a.k_out, pass.cos, pass.sin, k_heads, +1);
    }
}

// As forward leaves them: a gate and QK-norm have tensors of their own.
template <class B>
AttentionStrides Heads<B>::strides(const Gates<B>& gates, bool trains) const {
    const int64_t width = gates.end(), of_keys = kv_heads_ * dim_;
    const bool own_q = qk_norm_ || gates.any(Position::query), own_k = qk_norm_ || gates.any(Position::key);
    AttentionStrides strides{own_q ? heads_ * dim_ : width, own_k ? of_keys : key_.stride(width),
                             gates.any(Position::value) ? of_keys : value_.stride(width)};
    if (trains) strides.dq = width, strides.dk = key_.stride(width), strides.dv = value_.stride(width);
    return strides;
}

template <class B>
void Heads<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, const Acts& a, const Scratch& s,
                        Rows<T> dproduct, Rows<const T> product, const GatesBackward<B>& gate) const {
    const auto [dq, dk, dv] = gradients(s, dproduct);
    const RopeShape q_heads = rope_shape(pass.batch, heads_), k_heads = rope_shape(pass.batch, kv_heads_);
    if (qk_norm_) {
        rmsnorm_rope_backward<B>(pass.stream, dk, dw.key_norm, dk, a.k_gated, w.key_norm, a.k_rstd, pass.cos, pass.sin,
                                 k_heads);
        rmsnorm_rope_backward<B>(pass.stream, dq, dw.query_norm, dq, a.q_gated, w.query_norm, a.q_rstd, pass.cos,
                                 pass.sin, q_heads);
    } else {
        rope<B>(pass.stream, dk, pass.cos, pass.sin, k_heads, -1);
        rope<B>(pass.stream, dq, pass.cos, pass.sin, q_heads, -1);
    }

    gate(Position::value, dv);
    gate(Position::key, dk);
    gate(Position::query, dq);

    value_.backward(pass, s.value, dproduct, product);
    key_.backward(pass, s.key, dproduct, product);
}

// QK-norm with RoPE reads or writes queries and keys 5 times, forward and backward.
template <class B>
Cost Heads<B>::cost(const Workload&) const {
    Cost c;
    Params none;
    matrices(ParameterCounter(c, coord_), none, "");
    norms(ParameterCounter(c, coord_), none, "");
    c.elements = 5 * double((heads_ + kv_heads_) * dim_);
    return c;
}

#define INSTANTIATE(B) template class Heads<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B)                                       \
    template Heads<B>::Heads(const ModelSpec&, const MeshCoord&); \
    template Cost Heads<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
