#include "mixers/output.h"

namespace sluice {

template <class B>
Output<B>::Output(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
    : coord_(coord),
      hidden_(model.hidden),
      dim_(model.head_dim),
      whole_heads_(model.heads),
      heads_(model.heads / coord.tensor),
      norm_(model.attention.at(layer).sdpa_norm == SdpaNorm::rmsnorm),
      activation_(model.attention.at(layer).sdpa_activation == SdpaActivation::silu),
      norm_eps_(model.norm_eps),
      init_(residual_init(model)) {}

template <class B>
typename B::T* Output<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, T* in,
                                  const GatesForward<B>& gate) const {
    const int64_t tokens = pass.tokens(), width = heads_ * dim_;
    a.in = a.before_activation = a.mixed = in;
    if (norm_) {
        rmsnorm_forward<B>(pass.stream, a.normed, a.rstd, in, w.norm, tokens * heads_, dim_, norm_eps_);
        a.before_activation = a.mixed = a.normed;
    }
    if (activation_) {
        activation_forward<B>(pass.stream, a.activated, a.before_activation, tokens * width, Activation::silu);
        a.mixed = a.activated;
    }
    a.ungated = a.mixed;
    a.mixed = gate(Position::sdpa, {a.mixed, width}).data;

    T* partial = pass.partial_buffer(pass.partial, a.out);
    linear_forward<B>(pass.stream, partial, a.mixed, w.weight, tokens, width, hidden_);
    pass.reduce_partial(a.out, partial, hidden_);  // partner: gather_sequence(dout)
    return gate(Position::output, {a.out, hidden_}).data;
}

template <class B>
void Output<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, const Acts& a, const Scratch& s,
                         const T* dout, const GatesBackward<B>& gate) const {
    const int64_t tokens = pass.tokens(), width = heads_ * dim_;
    linear_backward_weight<B>(pass.stream, dw.weight, dout, a.mixed, tokens, width, hidden_);
    linear_backward_input<B>(pass.stream, s.din, dout, w.weight, tokens, width, hidden_, Into::overwrite);

    gate(Position::sdpa, {s.din, width});
    if (activation_)
        activation_backward<B>(pass.stream, s.din, s.din, a.before_activation, tokens * width, Activation::silu);
    if (norm_)
        rmsnorm_backward<B>(pass.stream, s.din, dw.norm, s.din, a.in, w.norm, a.rstd, tokens * heads_, dim_,
                            Into::overwrite);
}

template <class B>
void Output<B>::probe(const Pass<B>& pass, const Acts& a, const LayerProbe<B>& probe) const {
    magnitude_sums<B>(pass.stream, probe.before, a.ungated, pass.tokens(), heads_, dim_, probe.sdpa_factor);
    if (a.mixed != a.ungated) magnitude_sums<B>(pass.stream, probe.after, a.mixed, pass.tokens(), heads_, dim_, 1);
}

template <class B>
Cost Output<B>::cost(const Workload& load) const {
    Cost c;
    Params none;
    matrices(ParameterCounter(c, coord_), none, "");
    norms(ParameterCounter(c, coord_), none, "");
    c.forward.reduce_partial(load, coord_, hidden_);
    c.backward.gather_sequence(load, coord_, hidden_);
    return c;
}

#define INSTANTIATE(B) template class Output<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B)                                                  \
    template Output<B>::Output(const ModelSpec&, int64_t, const MeshCoord&); \
    template Cost Output<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
