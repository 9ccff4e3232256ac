#include "layers/projection.h"

namespace sluice {

template <class B>
void Projection<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const T* x) const {
    const int64_t tokens = pass.tokens();
    if (experts_ == 0) return linear_forward<B>(pass.stream, a.out, x, w.weight, tokens, hidden_, heads_ * dim_);
    linear_forward<B>(pass.stream, a.expert, x, w.weight, tokens, hidden_, heads_ * experts_ * dim_);
    linear_forward<B>(pass.stream, a.score, x, w.router, tokens, hidden_, heads_ * experts_);
    switch_forward<B>(pass.stream, a.out, a.expert, a.score, tokens, heads_, experts_, dim_, top_k_);
}

template <class B>
void Projection<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, const Acts& a, const Scratch& s, T* dx,
                             const T* dout, const T* x, Into into) const {
    const int64_t tokens = pass.tokens();
    // Backward of y = x weight^T, with dy (tokens, rows) and weight (rows, hidden).
    const auto linear_backward = [&](T* dweight, const T* weight, const T* dy, int64_t rows, Into where) {
        linear_backward_weight<B>(pass.stream, dweight, dy, x, tokens, hidden_, rows);
        linear_backward_input<B>(pass.stream, dx, dy, weight, tokens, hidden_, rows, where);
    };
    if (experts_ == 0) return linear_backward(dw.weight, w.weight, dout, heads_ * dim_, into);
    switch_backward<B>(pass.stream, s.dexpert, s.dscore, dout, a.expert, a.score, tokens, heads_, experts_, dim_,
                       top_k_);
    linear_backward(dw.router, w.router, s.dscore, heads_ * experts_, into);
    linear_backward(dw.weight, w.weight, s.dexpert, heads_ * experts_ * dim_, Into::add);
}

#define INSTANTIATE(B) template class Projection<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
