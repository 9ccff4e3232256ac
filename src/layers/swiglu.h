// SwiGLU: down(silu(gate x) * up x), with x and the result (tokens, hidden). A tensor group splits its width: the
// result is a partial sum. It is the dense feed-forward, or the shared expert of a mixture.
#pragma once
#include <cmath>
#include <string>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"
#include "tensor/params.h"

namespace sluice {

// Initial values of matrices whose results are added to the residual.
inline Init residual_init(const ModelSpec& model) {
    return {Init::normal, model.init_std / std::sqrt(2.0 * double(model.layers))};
}

template <class B>
class SwiGlu {
 public:
    using T = typename B::T;

    // width: inner width of all ranks together.
    SwiGlu(const ModelSpec& model, int64_t width, const MeshCoord& coord)
        : hidden_(model.hidden),
          whole_width_(width),
          width_(width / coord.tensor),
          coord_(coord),
          init_{Init::normal, model.init_std},
          down_init_(residual_init(model)) {}

    template <class X>
    struct ParamsOf {
        X *gate = nullptr, *up = nullptr;  // (width, hidden) each, one below the other
        X* down = nullptr;                 // (hidden, width)
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        const ShardSpec rows = ShardSpec::split(0, coord_.tensor), columns = ShardSpec::split(1, coord_.tensor);
        v(prefix + "gate.weight", p.gate, {whole_width_, hidden_}, init_, Role::map, rows);
        v(prefix + "up.weight", p.up, {whole_width_, hidden_}, init_, Role::map, rows, Place::below);
        v(prefix + "down.weight", p.down, {hidden_, whole_width_}, down_init_, Role::map, columns);
    }

    struct Acts {
        T* gate_up = nullptr;  // (tokens, 2 width): gate, then up
        T* hidden = nullptr;   // (tokens, width)
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("gate_up", a.gate_up, {tokens, 2 * width_});
        v("hidden", a.hidden, {tokens, width_});
    }

    struct Scratch {
        T* dhidden = nullptr;  // (tokens, width)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        v("dhidden", s.dhidden, {tokens, width_});
    }

    void forward(const Pass<B>&, const Params&, Acts&, T* out, const T* x) const;
    // Overwrites dx and the acts.
    void backward(const Pass<B>&, const Params& w, Gradients& dw, Acts&, const Scratch&, T* dx, const T* dout,
                  const T* x) const;
    Cost cost(const Workload&) const;

 private:
    int64_t hidden_, whole_width_, width_;
    MeshCoord coord_;
    Init init_, down_init_;
};

}  // namespace sluice
