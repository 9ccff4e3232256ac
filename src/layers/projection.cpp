#include "layers/projection.h"

namespace sluice {

template <class B>
Rows<typename B::T> Projection<B>::forward(const Pass<B>& pass, Acts& a, Rows<T> product) const {
    if (experts_ == 0) return product.columns(begin_);
    switch_forward<B>(pass.stream, a.mixed, product.columns(begin_), product.columns(scores()), pass.tokens(), heads_,
                      experts_, dim_, top_k_);
    return {a.mixed, heads_ * dim_};
}

template <class B>
void Projection<B>::backward(const Pass<B>& pass, const Scratch& s, Rows<T> dproduct, Rows<const T> product) const {
    if (experts_ == 0) return;
    switch_backward<B>(pass.stream, dproduct.columns(begin_), dproduct.columns(scores()), s.dmixed,
                       product.columns(begin_), product.columns(scores()), pass.tokens(), heads_, experts_, dim_,
                       top_k_);
}

#define INSTANTIATE(B) template class Projection<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
