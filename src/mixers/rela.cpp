#include "mixers/rela.h"

namespace sluice {

template <class B>
typename B::T* RelaCore<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Qkv<const T>& in) const {
    const int64_t tokens = pass.tokens(), width = mixing_.width();
    relu_attention_forward<B>(pass.stream, a.z, in.q, in.k, in.v, pass.doc_start, mixing_.shape(pass.batch));
    A* squares = a.rstd;  // (tokens); in place: the norm reads squares and writes rstd
    sum_of_squares_by_row<B>(pass.stream, squares, a.z, tokens, width);
    pass.mesh->tensor->all_reduce(squares, tokens);  // partner: all_reduce(dots)
    rela_norm_forward<B>(pass.stream, a.out, a.rstd, a.z, squares, w.norm, w.gate, tokens, width, mixing_.whole_width(),
                         norm_eps_);
    return a.out;
}

template <class B>
void RelaCore<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, const Acts& a, const Scratch& s,
                           const Qkv<T>& din, T* dout, const Qkv<const T>& in) const {
    const int64_t tokens = pass.tokens(), width = mixing_.width();
    rela_norm_dots<B>(pass.stream, s.dots, dout, a.z, w.norm, w.gate, tokens, width);
    pass.mesh->tensor->all_reduce(s.dots, tokens);
    T* dz = dout;
    rela_norm_backward<B>(pass.stream, dz, dw.norm, dw.gate, dout, a.z, w.norm, w.gate, a.rstd, s.dots, tokens, width,
                          mixing_.whole_width());
    relu_attention_backward<B>(pass.stream, din.q, din.k, din.v, dz, in.q, in.k, in.v, pass.doc_start,
                               mixing_.shape(pass.batch));
}

// 8 passes over the width: forward reads z for the squares, reads z again and writes y; backward reads dy and z for the
// dot products, reads both again and writes dz.
template <class B>
Cost RelaCore<B>::cost(const Workload& load) const {
    Cost c;
    Params none;
    params(ParameterCounter(c, coord_), none, "");
    mixing_.add_scores(c, load);
    c.elements = 8 * double(mixing_.width());
    c.forward.tensor.all_reduce(kSumBytes * double(load.tokens), coord_.tensor);
    c.backward.tensor.all_reduce(kSumBytes * double(load.tokens), coord_.tensor);
    return c;
}

#define INSTANTIATE(B) template class RelaCore<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) template Cost RelaCore<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
