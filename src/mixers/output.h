// What follows a core, in order: sdpa_norm; sdpa_activation; sdpa gates; output projection; output gates. A tensor
// group splits the heads, so that the projection's result on a rank is a partial sum.
#pragma once
#include <string>

#include "layers/gate.h"
#include "layers/swiglu.h"

namespace sluice {

template <class B>
class Output {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Output(const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    template <class X>
    struct ParamsOf {
        X* weight = nullptr;  // (hidden, heads dim)
        X* norm = nullptr;    // (dim)
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void matrices(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        v(prefix + "output.weight", p.weight, {hidden_, whole_heads_ * dim_}, init_, Role::map,
          ShardSpec::split(1, coord_.tensor));
    }
    template <class V, class X>
    void norms(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        if (norm_) v(prefix + "sdpa_norm.weight", p.norm, {dim_}, Init{Init::one}, Role::plain, ShardSpec::partial());
    }

    struct Acts {
        const T* in = nullptr;                 // (tokens, heads, dim): the core's result
        T* normed = nullptr;                   // as in: with sdpa_norm
        A* rstd = nullptr;                     // (tokens, heads)
        const T* before_activation = nullptr;  // as in: `in` or `normed`
        T* activated = nullptr;                // as in: with sdpa_activation
        const T* ungated = nullptr;            // as in: what sdpa gates read
        T* mixed = nullptr;                    // as in: the input of the projection, after sdpa gates
        T* out = nullptr;                      // (rows, hidden): projected
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens, int64_t rows) const {
        if (norm_) {
            v("sdpa_normed", a.normed, {tokens, heads_, dim_});
            v("sdpa_rstd", a.rstd, {tokens, heads_});
        }
        if (activation_) v("activated", a.activated, {tokens, heads_, dim_});
        v("out", a.out, {rows, hidden_});
    }

    struct Scratch {
        T* din = nullptr;  // (tokens, heads, dim)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        v("dmixed", s.din, {tokens, heads_, dim_});
    }

    // in (tokens, heads, dim): the core's result. Returns out (rows, hidden), gated where there are output gates.
    T* forward(const Pass<B>&, const Params&, Acts&, T* in, const GatesForward<B>& gate) const;
    // Leaves the gradient of `in` in s.din. dout (tokens, hidden): gradient of the projection's result.
    void backward(const Pass<B>&, const Params& w, Gradients& dw, const Acts&, const Scratch&, const T* dout,
                  const GatesBackward<B>& gate) const;
    // After forward: adds up the magnitudes of the core's result, before and after sdpa gates.
    void probe(const Pass<B>&, const Acts&, const LayerProbe<B>&) const;
    Cost cost(const Workload& load) const;

 private:
    MeshCoord coord_;
    int64_t hidden_, dim_, whole_heads_, heads_;  // heads_: on this rank
    bool norm_, activation_;
    double norm_eps_;
    Init init_;
};

}  // namespace sluice
