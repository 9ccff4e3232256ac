#include "layers/ffn.h"

namespace sluice {

template <class B>
typename B::T* Ffn<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch& s, const T* rows_x) const {
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);  // partner: reduce_partial(dx)
    T* partial = pass.partial_buffer(pass.partial, a.out);
    if (dense_) dense_->forward(pass, w.dense, a.dense, partial, x);
    if (experts_)
        experts_->forward(pass, w.experts, a.experts, s.experts, partial, x, dense_ ? Into::add : Into::overwrite);
    pass.reduce_partial(a.out, partial, hidden_);  // partner: gather_sequence(dout)
    return a.out;
}

template <class B>
void Ffn<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, Acts& a, const Scratch& s, T* rows_dx,
                      const T* rows_dout, const T* rows_x) const {
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);
    const T* dout = pass.gather_sequence(pass.partial, rows_dout, hidden_);
    T* dx = pass.partial_buffer(pass.dpartial, rows_dx);
    if (dense_) dense_->backward(pass, w.dense, dw.dense, a.dense, s.dense, dx, dout, x);
    if (experts_)
        experts_->backward(pass, w.experts, dw.experts, a.experts, s.experts, dx, dout, x,
                           dense_ ? Into::add : Into::overwrite);
    pass.reduce_partial(rows_dx, dx, hidden_);
}

template <class B>
Cost Ffn<B>::cost(const Workload& load) const {
    Cost c;
    if (dense_) c += dense_->cost(load);
    if (experts_) c += experts_->cost(load);
    c.forward.gather_sequence(load, coord_, hidden_);
    c.forward.reduce_partial(load, coord_, hidden_);
    for (int i = 0; i < 2; i++) c.backward.gather_sequence(load, coord_, hidden_);  // x, dout
    c.backward.reduce_partial(load, coord_, hidden_);
    return c;
}

#define INSTANTIATE(B) template class Ffn<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) template Cost Ffn<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
