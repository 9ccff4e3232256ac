#include "layers/lm_head.h"

namespace sluice {

template <class B>
void LmHead<B>::chunk_forward(const Pass<B>& pass, const T* w, const Scratch& s, T* exponentials, A* losses, const T* x,
                              const int32_t* targets, int64_t rows) const {
    linear_forward<B>(pass.stream, s.logits, x, w, rows, hidden_, ids_.size());
    cross_entropy_stats<B>(pass.stream, s.stats, exponentials, s.logits, targets, rows, ids_.begin, ids_.size());
    pass.mesh->tensor->all_gather(s.all_stats, s.stats, 3 * rows);
    cross_entropy_join<B>(pass.stream, losses, s.lse, s.all_stats, targets, rows, parts_);
}

template <class B>
void LmHead<B>::forward(const Pass<B>& pass, const T* w, const Scratch& s, A* losses, const T* rows_x,
                        const int32_t* targets) const {
    const int64_t tokens = pass.tokens(), step = chunk(tokens);
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);
    for (int64_t t = 0; t < tokens; t += step)
        chunk_forward(pass, w, s, nullptr, losses + t, x + t * hidden_, targets + t, std::min(step, tokens - t));
}

template <class B>
void LmHead<B>::forward_backward(const Pass<B>& pass, const T* w, typename B::G* dw, const Scratch& s, A* losses,
                                 T* rows_dx, const T* rows_x, const int32_t* targets) const {
    const int64_t tokens = pass.tokens(), step = chunk(tokens), vocab = ids_.size();
    const T* x = pass.gather_sequence(pass.gathered, rows_x, hidden_);  // partner: reduce_partial(dx)
    T* dx = pass.partial_buffer(pass.dpartial, rows_dx);
    for (int64_t t = 0; t < tokens; t += step) {
        const int64_t rows = std::min(step, tokens - t);
        chunk_forward(pass, w, s, s.logits, losses + t, x + t * hidden_, targets + t, rows);
        cross_entropy_backward<B>(pass.stream, s.logits, s.stats, s.lse, targets + t, rows, ids_.begin, vocab,
                                  pass.scale);
        linear_backward_weight<B>(pass.stream, dw, s.logits, x + t * hidden_, rows, hidden_, vocab);
        linear_backward_input<B>(pass.stream, dx + t * hidden_, s.logits, w, rows, hidden_, vocab, Into::overwrite);
    }
    pass.reduce_partial(rows_dx, dx, hidden_);
}

// Cross-entropy passes twice over the logits: it reads them and writes their gradients in place. Statistics are three
// numbers per token.
template <class B>
Cost LmHead<B>::cost(const Workload& load) const {
    Cost c;
    c.gemm = 6 * double(vocab_) * double(hidden_);
    c.elements = 2 * double(vocab_) / double(coord_.tensor);
    c.forward.gather_sequence(load, coord_, hidden_);
    const double statistics = 3 * kSumBytes * double(load.tokens);
    c.forward.tensor.all_gather(statistics, statistics * double(coord_.tensor), coord_.tensor);
    c.backward.reduce_partial(load, coord_, hidden_);
    return c;
}

#define INSTANTIATE(B) template class LmHead<B>;
SLUICE_BACKENDS(INSTANTIATE)
#define INSTANTIATE_PLAN(B) template Cost LmHead<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
