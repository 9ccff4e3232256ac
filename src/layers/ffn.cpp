#include "layers/ffn.h"

namespace sluice {

template <class B>
typename B::T* Ffn<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const T* x) const {
    const int64_t tokens = pass.batch.tokens();
    linear_forward<B>(pass.stream, a.gate, x, w.gate, tokens, n_.hidden, width_);
    linear_forward<B>(pass.stream, a.up, x, w.up, tokens, n_.hidden, width_);
    swiglu_forward<B>(pass.stream, a.product, a.gate, a.up, tokens * width_);
    linear_forward<B>(pass.stream, a.out, a.product, w.down, tokens, width_, n_.hidden);
    return a.out;
}

template <class B>
void Ffn<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, const Acts& a, const Scratch& s, T* dx,
                      const T* dout, const T* x) const {
    const int64_t tokens = pass.batch.tokens();
    linear_backward_weight<B>(pass.stream, dw.down, dout, a.product, tokens, width_, n_.hidden);
    linear_backward_input<B>(pass.stream, s.dproduct, dout, w.down, tokens, width_, n_.hidden, Into::overwrite);
    T *dgate = a.gate, *dup = a.up;  // in place: nothing reads them again
    swiglu_backward<B>(pass.stream, dgate, dup, s.dproduct, a.gate, a.up, tokens * width_);
    linear_backward_weight<B>(pass.stream, dw.up, dup, x, tokens, n_.hidden, width_);
    linear_backward_input<B>(pass.stream, dx, dup, w.up, tokens, n_.hidden, width_, Into::overwrite);
    linear_backward_weight<B>(pass.stream, dw.gate, dgate, x, tokens, n_.hidden, width_);
    linear_backward_input<B>(pass.stream, dx, dgate, w.gate, tokens, n_.hidden, width_, Into::add);
}

template class Ffn<Cpu<float>>;
template class Ffn<Cpu<double>>;

}  // namespace sluice
