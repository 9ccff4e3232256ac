// The language-model head and its loss, in chunks of tokens so that all logits never exist at once: logits = x W^T,
// cross-entropy, and, when training, the gradients of x and W while the chunk's logits are at hand.
#pragma once
#include <algorithm>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/shapes.h"

namespace sluice {

template <class B>
class Head {
 public:
    using T = typename B::T;
    using A = typename B::A;

    explicit Head(const ModelSpec& model) : hidden_(model.hidden), vocab_(model.vocab) {}

    struct Scratch {
        T* logits = nullptr;  // (chunk, vocab)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        v("logits", s.logits, {chunk(tokens), vocab_});
    }

    // losses (tokens).
    void forward(const Pass<B>&, const T* w, const Scratch&, A* losses, const T* x, const int32_t* targets) const;
    // The same, and dx = gradient of scale * sum(losses), dw +=.
    void forward_backward(const Pass<B>&, const T* w, T* dw, const Scratch&, A* losses, T* dx, const T* x,
                          const int32_t* targets, double scale) const;

 private:
    // Enough rows to keep the GEMMs busy, and at most 16 MiB of logits in float (but 64 rows).
    int64_t chunk(int64_t tokens) const { return std::min(tokens, std::max<int64_t>(64, (int64_t{1} << 22) / vocab_)); }

    int64_t hidden_, vocab_;
};

}  // namespace sluice
