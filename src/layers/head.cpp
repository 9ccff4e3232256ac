#include "layers/head.h"

namespace sluice {

template <class B>
void Head<B>::forward(const Pass<B>& pass, const T* w, const Scratch& s, A* losses, const T* x,
                      const int32_t* targets) const {
    const int64_t tokens = pass.batch.tokens(), step = chunk(tokens);
    for (int64_t t = 0; t < tokens; t += step) {
        const int64_t rows = std::min(step, tokens - t);
        linear_forward<B>(pass.stream, s.logits, x + t * hidden_, w, rows, hidden_, vocab_);
        cross_entropy<B>(pass.stream, losses + t, nullptr, s.logits, targets + t, rows, vocab_, 0);
    }
}

template <class B>
void Head<B>::forward_backward(const Pass<B>& pass, const T* w, T* dw, const Scratch& s, A* losses, T* dx, const T* x,
                               const int32_t* targets, double scale) const {
    const int64_t tokens = pass.batch.tokens(), step = chunk(tokens);
    for (int64_t t = 0; t < tokens; t += step) {
        const int64_t rows = std::min(step, tokens - t);
        linear_forward<B>(pass.stream, s.logits, x + t * hidden_, w, rows, hidden_, vocab_);
        cross_entropy<B>(pass.stream, losses + t, s.logits, s.logits, targets + t, rows, vocab_, scale);
        linear_backward_weight<B>(pass.stream, dw, s.logits, x + t * hidden_, rows, hidden_, vocab_);
        linear_backward_input<B>(pass.stream, dx + t * hidden_, s.logits, w, rows, hidden_, vocab_, Into::overwrite);
    }
}

template class Head<Cpu<float>>;
template class Head<Cpu<double>>;

}  // namespace sluice
