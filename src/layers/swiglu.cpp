#include "layers/swiglu.h"

namespace sluice {

template <class B>
void SwiGlu<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, T* out, const T* x) const {
    const int64_t tokens = pass.tokens();
    linear_forward<B>(pass.stream, a.gate_up, x, w.gate, tokens, hidden_, 2 * width_);
    swiglu_forward<B>(pass.stream, a.hidden, a.gate_up, tokens, width_);
    linear_forward<B>(pass.stream, out, a.hidden, w.down, tokens, width_, hidden_);
}

template <class B>
void SwiGlu<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, Acts& a, const Scratch& s, T* dx,
                         const T* dout, const T* x) const {
    const int64_t tokens = pass.tokens();
    linear_backward_weight<B>(pass.stream, dw.down, dout, a.hidden, tokens, width_, hidden_);
    linear_backward_input<B>(pass.stream, s.dhidden, dout, w.down, tokens, width_, hidden_, Into::overwrite);
    T* dgate_up = a.gate_up;  // in place: nothing reads the old values afterwards
    swiglu_backward<B>(pass.stream, dgate_up, s.dhidden, a.gate_up, tokens, width_);
    linear_backward_weight<B>(pass.stream, dw.gate, dgate_up, x, tokens, hidden_, 2 * width_);
    linear_backward_input<B>(pass.stream, dx, dgate_up, w.gate, tokens, hidden_, 2 * width_, Into::overwrite);
}

// Its pointwise ops read or write 9 times its width per token, forward and backward.
template <class B>
Cost SwiGlu<B>::cost(const Workload&) const {
    Cost c;
    Params none;
    params(ParameterCounter(c, coord_), none, "");
    c.elements = 9 * double(whole_width_) / double(coord_.tensor);
    return c;
}

#define INSTANTIATE(B) template class SwiGlu<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) template Cost SwiGlu<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
