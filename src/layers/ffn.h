// SwiGLU feed-forward: down(silu(gate x) * up x). x and the result are (tokens, hidden).
#pragma once
#include <cmath>
#include <string>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/params.h"
#include "layers/shapes.h"

namespace sluice {

template <class B>
class Ffn {
 public:
    using T = typename B::T;

    explicit Ffn(const ModelSpec& model) : n_(model), width_(model.ffn.hidden) {}

    struct Params {
        T *gate = nullptr, *up = nullptr, *down = nullptr;  // (ffn, hidden) twice, (hidden, ffn)
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& prefix) const {
        const Init init{Init::normal, n_.init_std};
        v(prefix + "gate.weight", p.gate, {width_, n_.hidden}, init, Decay::yes);
        v(prefix + "up.weight", p.up, {width_, n_.hidden}, init, Decay::yes);
        const Init residual{Init::normal, n_.init_std / std::sqrt(2.0 * double(n_.layers))};
        v(prefix + "down.weight", p.down, {n_.hidden, width_}, residual, Decay::yes);
    }

    struct Acts {
        T *gate = nullptr, *up = nullptr, *product = nullptr;  // (tokens, ffn)
        T* out = nullptr;                                      // (tokens, hidden)
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("gate", a.gate, {tokens, width_});
        v("up", a.up, {tokens, width_});
        v("product", a.product, {tokens, width_});
        v("out", a.out, {tokens, n_.hidden});
    }

    struct Scratch {
        T* dproduct = nullptr;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        v("dproduct", s.dproduct, {tokens, width_});
    }

    T* forward(const Pass<B>&, const Params&, Acts&, const T* x) const;
    // dx is overwritten, and so are the acts.
    void backward(const Pass<B>&, const Params& w, Params& dw, const Acts&, const Scratch&, T* dx, const T* dout,
                  const T* x) const;

 private:
    ModelSpec n_;
    int64_t width_;
};

}  // namespace sluice
