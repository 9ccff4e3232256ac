#include "mixers/attention.h"

namespace sluice {

template <class B>
typename B::T* Attention<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch&,
                                     const T* rows_x) const {
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);  // partner: reduce_partial(dx)
    const GatesForward<B> gate{gates_, pass, w.gates, a.gates, x, rows_x};
    heads_.forward(pass, w.heads, a.heads, x, gate);
    T* mixed = core_.forward(pass, w.core, a.core, qkv(a.heads));
    return output_.forward(pass, w.output, a.output, mixed, gate);
}

template <class B>
void Attention<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, Acts& a, const Scratch& s, T* rows_dx,
                            T* rows_dout, const T* rows_x) const {
    const GatesBackward<B> gate{gates_, pass, w.gates, dw.gates, a.gates, s.gates};
    if (output_gates()) {
        zero<B>(pass.stream, s.doutput_gates, pass.rows * hidden_);
        gate(Position::output, rows_dout, s.doutput_gates, rows_x);
    }
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);
    const T* dout = pass.gather_sequence(pass.partial, rows_dout, hidden_);
    T* dx = pass.partial_buffer(pass.dpartial, rows_dx);
    zero<B>(pass.stream, dx, pass.tokens() * hidden_);

    output_.backward(pass, w.output, dw.output, a.output, s.output, dx, dout, x, gate);
    core_.backward(pass, w.core, dw.core, a.core, s.core, {s.heads.dq, s.heads.dk, s.heads.dv}, s.output.din,
                   qkv(a.heads));
    heads_.backward(pass, w.heads, dw.heads, a.heads, s.heads, dx, x, gate);

    pass.reduce_partial(rows_dx, dx, hidden_);
    if (output_gates()) add<B>(pass.stream, rows_dx, s.doutput_gates, pass.rows * hidden_);
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

}  // namespace sluice
