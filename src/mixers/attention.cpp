#include "mixers/attention.h"

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
Attention<B>::Attention(const ModelSpec& model, int64_t layer, const Place& place)
    : n_(model),
      place_(place),
      heads_(model.heads / place.tensor),
      kv_heads_(model.kv_heads / cut_by_head(model.kv_heads, place).parts),
      key_(model.hidden, model.kv_heads, model.head_dim, key_experts(model), model.switch_heads.top_k, place),
      value_(model.hidden, model.kv_heads, model.head_dim, value_experts(model), model.switch_heads.top_k, place),
      gates_(model, layer, place) {}

template <class B>
AttentionShape Attention<B>::shape(const Batch& batch) const {
    return {batch.sequences,
            batch.length,
            heads_,
            kv_heads_,
            n_.head_dim,
            n_.attention.window,
            1 / std::sqrt(double(n_.head_dim))};
}

template <class B>
typename B::T* Attention<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch&,
                                     const T* rows_x) const {
    const auto [sequences, length] = pass.batch;
    const int64_t tokens = pass.tokens(), H = heads_, K = kv_heads_, D = n_.head_dim;
    const T* x = pass.enter(pass.entered, rows_x, n_.hidden);  // partner: leave(dx)
    const auto gate = [&](Position position, T* y) { return gates_.forward(position, pass, w.gates, a.gates, y, x); };

    linear_forward<B>(pass.stream, a.q, x, w.query, tokens, n_.hidden, q_width());
    key_.forward(pass, w.key, a.k, x);
    value_.forward(pass, w.value, a.v, x);

    a.q_final = a.q_gated = gate(Position::query, a.q);
    a.k_final = a.k_gated = gate(Position::key, a.k.out);
    a.v_final = gate(Position::value, a.v.out);

    const RopeShape q_heads{sequences, length, H, D}, k_heads{sequences, length, K, D};
    if (n_.qk_norm) {
        rmsnorm_rope_forward<B>(pass.stream, a.q_normed, a.q_rstd, a.q_gated, w.query_norm, pass.cos, pass.sin, q_heads,
                                n_.norm_eps);
        rmsnorm_rope_forward<B>(pass.stream, a.k_normed, a.k_rstd, a.k_gated, w.key_norm, pass.cos, pass.sin, k_heads,
                                n_.norm_eps);
        a.q_final = a.q_normed;
        a.k_final = a.k_normed;
    } else {
        rope<B>(pass.stream, a.q_final, pass.cos, pass.sin, q_heads, +1);
        rope<B>(pass.stream, a.k_final, pass.cos, pass.sin, k_heads, +1);
    }

    attention_forward<B>(pass.stream, a.sdpa, a.lse, a.q_final, a.k_final, a.v_final, pass.first, shape(pass.batch));

    a.mixed = a.normed = a.sdpa;
    if (sdpa_norm()) {
        rmsnorm_forward<B>(pass.stream, a.sdpa_normed, a.sdpa_rstd, a.sdpa, w.sdpa_norm, tokens * H, D, n_.norm_eps);
        a.mixed = a.normed = a.sdpa_normed;
    }
    if (sdpa_activation()) {
        activation_forward<B>(pass.stream, a.activated, a.normed, tokens * q_width(), Activation::silu);
        a.mixed = a.activated;
    }
    a.mixed = gate(Position::sdpa, a.mixed);

    T* partial = pass.before_leave(pass.partial, a.out);
    linear_forward<B>(pass.stream, partial, a.mixed, w.output, tokens, q_width(), n_.hidden);
    pass.leave(a.out, partial, n_.hidden);  // partner: enter(dout)
    return gates_.forward(Position::output, pass, w.gates, a.gates, a.out, rows_x);
}

template <class B>
void Attention<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, const Acts& a, const Scratch& s,
                            T* rows_dx, T* rows_dout, const T* rows_x) const {
    const auto [sequences, length] = pass.batch;
    const int64_t tokens = pass.tokens(), H = heads_, K = kv_heads_, D = n_.head_dim;
    const bool output_gates = gates_.any(Position::output);
    if (output_gates) {
        fill<B>(pass.stream, s.doutput_gates, T(0), pass.rows * n_.hidden);
        gates_.backward(Position::output, pass, w.gates, dw.gates, a.gates, s.gates, rows_dout, s.doutput_gates,
                        rows_x);
    }
    const T* x = pass.enter(pass.entered, rows_x, n_.hidden);
    const T* dout = pass.enter(pass.partial, rows_dout, n_.hidden);
    T* dx = pass.before_leave(pass.dpartial, rows_dx);
    const auto gate = [&](Position position, T* dy) {
        gates_.backward(position, pass, w.gates, dw.gates, a.gates, s.gates, dy, dx, x);
    };
    fill<B>(pass.stream, dx, T(0), tokens * n_.hidden);

    linear_backward_weight<B>(pass.stream, dw.output, dout, a.mixed, tokens, q_width(), n_.hidden);
    linear_backward_input<B>(pass.stream, s.dmixed, dout, w.output, tokens, q_width(), n_.hidden, Into::overwrite);

    gate(Position::sdpa, s.dmixed);
    if (sdpa_activation())
        activation_backward<B>(pass.stream, s.dmixed, s.dmixed, a.normed, tokens * q_width(), Activation::silu);
    if (sdpa_norm())
        rmsnorm_backward<B>(pass.stream, s.dmixed, dw.sdpa_norm, s.dmixed, a.sdpa, w.sdpa_norm, a.sdpa_rstd, tokens * H,
                            D, Into::overwrite);

    attention_backward<B>(pass.stream, s.dq, s.dk, s.dv, s.delta, s.dmixed, a.sdpa, a.lse, a.q_final, a.k_final,
                          a.v_final, pass.first, shape(pass.batch));

    const RopeShape q_heads{sequences, length, H, D}, k_heads{sequences, length, K, D};
    if (n_.qk_norm) {
        rmsnorm_rope_backward<B>(pass.stream, s.dk, dw.key_norm, s.dk, a.k_gated, w.key_norm, a.k_rstd, pass.cos,
                                 pass.sin, k_heads);
        rmsnorm_rope_backward<B>(pass.stream, s.dq, dw.query_norm, s.dq, a.q_gated, w.query_norm, a.q_rstd, pass.cos,
                                 pass.sin, q_heads);
    } else {
        rope<B>(pass.stream, s.dk, pass.cos, pass.sin, k_heads, -1);
        rope<B>(pass.stream, s.dq, pass.cos, pass.sin, q_heads, -1);
    }

    gate(Position::value, s.dv);
    gate(Position::key, s.dk);
    gate(Position::query, s.dq);

    value_.backward(pass, w.value, dw.value, a.v, s.value, dx, s.dv, x, Into::add);
    key_.backward(pass, w.key, dw.key, a.k, s.key, dx, s.dk, x, Into::add);
    linear_backward_weight<B>(pass.stream, dw.query, s.dq, x, tokens, n_.hidden, q_width());
    linear_backward_input<B>(pass.stream, dx, s.dq, w.query, tokens, n_.hidden, q_width(), Into::add);

    pass.leave(rows_dx, dx, n_.hidden);
    if (output_gates) add<B>(pass.stream, rows_dx, s.doutput_gates, pass.rows * n_.hidden);
}

#define INSTANTIATE(B) template class Attention<B>;
SLUICE_BACKENDS(INSTANTIATE)
template Attention<PlannedBf16>::Attention(const ModelSpec&, int64_t, const Place&);

}  // namespace sluice
