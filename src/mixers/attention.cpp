#include "mixers/attention.h"

namespace sluice {

template <class B>
typename B::T* Attention<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch&,
                                     const T* rows_x) const {
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);  // partner: reduce_partial(dx)
    linear_forward<B>(pass.stream, a.product, x, w.heads.query, pass.tokens(), hidden_, width());
    const Rows<T> product{a.product, width()};
    const GatesForward<B> gate{gates_, pass, w.gates, a.gates, product, x, rows_x};
    heads_.forward(pass, w.heads, a.heads, product, gate);
    T* mixed = core_.forward(pass, w.core, a.core, qkv(a.heads));
    return output_.forward(pass, w.output, a.output, mixed, gate);
}

template <class B>
void Attention<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, Acts& a, const Scratch& s, T* rows_dx,
                            T* rows_dout, const T* rows_x) const {
    const Rows<T> product{a.product, width()}, dproduct{s.dproduct, width()};
    const GatesBackward<B> gate{gates_,  pass,     w.gates, dw.gates,        a.gates,
                                s.gates, dproduct, product, s.doutput_gates, rows_x};
    if (output_gates()) {
        zero<B>(pass.stream, s.doutput_gates, pass.rows * hidden_);
        gate(Position::output, {rows_dout, hidden_});
    }
    const T* dout = pass.gather_sequence(pass.partial, rows_dout, hidden_);
    output_.backward(pass, w.output, dw.output, a.output, s.output, dout, gate);
    core_.backward(pass, w.core, dw.core, a.core, s.core, heads_.gradients(s.heads, dproduct), s.output.din,
                   qkv(a.heads));
    heads_.backward(pass, w.heads, dw.heads, a.heads, s.heads, dproduct, product, gate);

    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);
    T* dx = pass.partial_buffer(pass.dpartial, rows_dx);
    linear_backward_weight<B>(pass.stream, dw.heads.query, s.dproduct, x, pass.tokens(), hidden_, width());
    linear_backward_input<B>(pass.stream, dx, s.dproduct, w.heads.query, pass.tokens(), hidden_, width(),
                             Into::overwrite);
    gates_.backward_products(pass, w.gates, dw.gates, a.gates, s.gates, dx, x);
    pass.reduce_partial(rows_dx, dx, hidden_);
    if (output_gates()) add<B>(pass.stream, rows_dx, s.doutput_gates, pass.rows * hidden_);
}

// The keys' means stand where backward keeps gradients of the product, which is wider.
template <class B>
void Attention<B>::probe(const Pass<B>& pass, const Params& w, const Acts& a, const Scratch& s,
                         const LayerProbe<B>& probe) const {
    gates_.probe(pass, w.gates, a.gates, Rows<const T>{a.product, width()}, probe);
    core_.probe(pass, a.core, s.core, s.dproduct, qkv(a.heads), probe);
    output_.probe(pass, a.output, probe);
}

template <class B>
Cost Attention<B>::cost(const Workload& load) const {
    Cost c = heads_.cost(load);
    c += gates_.cost(load);
    c += core_.cost(load);
    c += output_.cost(load);
    c.forward.gather_sequence(load, coord_, hidden_);
    c.backward.gather_sequence(load, coord_, hidden_);
    c.backward.reduce_partial(load, coord_, hidden_);
    return c;
}

#define INSTANTIATE(B) template class Attention<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) template Cost Attention<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
