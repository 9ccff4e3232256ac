// The feed-forward of a block: a SwiGLU, or routed experts, with a shared expert if moe.shared_hidden > 0.
// x and the result are (rows, hidden), like the residual.
#pragma once
#include <optional>
#include <string>

#include "layers/moe.h"
#include "layers/swiglu.h"

namespace sluice {

template <class B>
class Ffn {
 public:
    using T = typename B::T;

    Ffn(const ModelSpec& model, int64_t layer, const MeshCoord& coord) : hidden_(model.hidden), coord_(coord) {
        const bool mixture = model.moe.experts > 0;
        const int64_t width = mixture ? model.moe.shared_hidden : model.ffn.hidden;
        prefix_ = mixture ? "moe." : "ffn.";
        dense_prefix_ = mixture ? "moe.shared." : "ffn.";
        if (width > 0) dense_.emplace(model, width, coord);
        if (mixture) experts_.emplace(model, layer, coord);
    }

    template <class X>
    struct ParamsOf {
        typename SwiGlu<B>::template ParamsOf<X> dense;
        typename Moe<B>::template ParamsOf<X> experts;
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& block) const {
        if (dense_) dense_->params(v, p.dense, block + dense_prefix_);
        if (experts_) experts_->params(v, p.experts, block + prefix_);
    }

    struct Acts {
        typename SwiGlu<B>::Acts dense;
        typename Moe<B>::Acts experts;
        T* out = nullptr;  // (rows, hidden)
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens, int64_t rows) const {
        if (dense_) dense_->acts(v, a.dense, tokens);
        if (experts_) experts_->acts(v, a.experts, tokens);
        v("out", a.out, {rows, hidden_});
    }

    struct Scratch {
        typename SwiGlu<B>::Scratch dense;
        typename Moe<B>::Scratch experts;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        if (dense_ && use.backward) dense_->scratch(v, s.dense, use.batch.tokens());
        if (experts_) experts_->scratch(v, s.experts, use.batch.tokens(), use.backward);
    }

    // Returns a.out.
    T* forward(const Pass<B>&, const Params&, Acts&, const Scratch&, const T* x) const;
    // Overwrites dx and the acts.
    bool overwrites_dout() const { return false; }
    void backward(const Pass<B>&, const Params& w, Gradients& dw, Acts&, const Scratch&, T* dx, const T* dout,
                  const T* x) const;
    void probe(const Pass<B>& pass, const Params&, const Acts& a, const Scratch& s, const LayerProbe<B>&) const {
        if (experts_ && pass.scale == 0) experts_->probe(pass, a.experts, s.experts);
    }
    Cost cost(const Workload& load) const;

 private:
    int64_t hidden_;
    MeshCoord coord_;
    std::string prefix_, dense_prefix_;
    std::optional<SwiGlu<B>> dense_;  // the whole feed-forward, or the shared expert
    std::optional<Moe<B>> experts_;
};

}  // namespace sluice
