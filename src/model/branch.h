// One of a block's two branches around the residual: out = x + clip(post_norm(layer(norm(x)))). Layer is Attention or
// Ffn. post_norm is sandwich norm, clip is residual_clip; both may be absent. x and out are (rows, hidden). Whatever
// follows a branch begins with a norm of out, which is computed together with out.
#pragma once
#include <string>

#include "layers/ffn.h"
#include "mixers/attention.h"

namespace sluice {

// The norm that reads a branch's out: the next branch's, or the model's final one.
template <class B>
struct NextNorm {
    const typename B::T* weight;  // (hidden)
    typename B::T* normed;        // (rows, hidden)
    typename B::A* rstd;          // (rows)
};

template <class B, class Layer>
class ResidualBranch {
 public:
    using T = typename B::T;
    using A = typename B::A;

    ResidualBranch(const ModelSpec& model, Layer layer, const MeshCoord& coord)
        : n_(model), coord_(coord), layer_(std::move(layer)) {
        // With sequence parallelism each rank of the tensor group norms only its own rows.
        norm_sharding_.gradient = coord.sequence ? ShardSpec::over_tensor : ShardSpec::whole;
    }

    template <class X>
    struct ParamsOf {
        X *norm = nullptr, *post_norm = nullptr;  // (hidden)
        typename Layer::template ParamsOf<X> layer;
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    // Names: PREFIXattention_norm.weight, the layer's, PREFIXattention_post_norm.weight.
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix, const std::string& name) const {
        v(prefix + name + "_norm.weight", p.norm, {n_.hidden}, Init{Init::one}, Role::plain, norm_sharding_);
        layer_.params(v, p.layer, prefix);
        if (n_.sandwich_norm)
            v(prefix + name + "_post_norm.weight", p.post_norm, {n_.hidden}, Init{Init::one}, Role::plain,
              norm_sharding_);
    }

    struct Acts {
        T* normed = nullptr;  // (rows, hidden)
        A* rstd = nullptr;    // (rows)
        typename Layer::Acts layer;
        T* post_normed = nullptr;               // (rows, hidden), with sandwich norm
        A* post_rstd = nullptr;                 // (rows)
        T *result = nullptr, *delta = nullptr;  // (rows, hidden): the layer's result; what is added to the residual
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens, int64_t rows) const {
        v("normed", a.normed, {rows, n_.hidden});
        v("rstd", a.rstd, {rows});
        layer_.acts(v, a.layer, tokens, rows);
        if (!n_.sandwich_norm) return;
        v("post_normed", a.post_normed, {rows, n_.hidden});
        v("post_rstd", a.post_rstd, {rows});
    }

    struct Scratch {
        T* dresult = nullptr;  // (rows, hidden), unless the gradient of out is used in place
        T* dnormed = nullptr;  // (rows, hidden)
        typename Layer::Scratch layer;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        if (use.backward && !passes_through()) v("dresult", s.dresult, {use.rows, n_.hidden});
        if (use.backward) v("dnormed", s.dnormed, {use.rows, n_.hidden});
        layer_.scratch(v, s.layer, use);
    }
    // See Attention::prepare.
    std::string prepare(Stream stream, const Batch& largest, bool trains) const {
        return layer_.prepare(stream, largest, trains);
    }

    NextNorm<B> norm_of(const Params& w, const Acts& a) const { return {w.norm, a.normed, a.rstd}; }
    void norm(const Pass<B>& pass, const Params& w, Acts& a, const T* x) const {
        rmsnorm_forward<B>(pass.stream, a.normed, a.rstd, x, w.norm, pass.rows, n_.hidden, n_.norm_eps);
    }

    // From a.normed, which is norm(x), computes a.delta, which is added to the residual.
    void forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch& s) const {
        const int64_t rows = pass.rows;
        a.delta = a.result = layer_.forward(pass, w.layer, a.layer, s.layer, a.normed);
        if (n_.sandwich_norm) {
            rmsnorm_forward<B>(pass.stream, a.post_normed, a.post_rstd, a.result, w.post_norm, rows, n_.hidden,
                               n_.norm_eps);
            a.delta = a.post_normed;
        }
    }
    // out = x + clip(delta), and the norm of out that `next` wants. x, out (rows, hidden).
    void add_residual(const Pass<B>& pass, const Acts& a, T* out, const T* x, const NextNorm<B>& next) const {
        residual_rmsnorm_forward<B>(pass.stream, out, next.normed, next.rstd, x, a.delta, next.weight, pass.rows,
                                    n_.hidden, n_.norm_eps, n_.residual_clip);
    }

    // After forward, in a model that trains or is inspected.
    void probe(const Pass<B>& pass, const Params& w, const Acts& a, const Scratch& s,
               const LayerProbe<B>& probe) const {
        layer_.probe(pass, w.layer, a.layer, s.layer, probe);
    }

    // dx (rows, hidden) holds the gradient of out on entry, and that of x on return.
    void backward(const Pass<B>& pass, const Params& w, Gradients& dw, Acts& a, const Scratch& s, T* dx,
                  const T* x) const {
        const int64_t rows = pass.rows;
        T* dresult = dx;
        if (!passes_through()) {
            dresult = s.dresult;
            residual_backward<B>(pass.stream, dresult, dx, a.delta, rows * n_.hidden, n_.residual_clip);
        }
        if (n_.sandwich_norm)
            rmsnorm_backward<B>(pass.stream, dresult, dw.post_norm, dresult, a.result, w.post_norm, a.post_rstd, rows,
                                n_.hidden, Into::overwrite);
        layer_.backward(pass, w.layer, dw.layer, a.layer, s.layer, s.dnormed, dresult, a.normed);
        rmsnorm_backward<B>(pass.stream, dx, dw.norm, s.dnormed, x, w.norm, a.rstd, rows, n_.hidden, Into::add);
    }

    // The norm and the sum with the residual read or write `hidden` elements 8 times per token, forward and backward.
    Cost cost(const Workload& load) const {
        Cost c = layer_.cost(load);
        const int64_t norms = (n_.sandwich_norm ? 2 : 1) * n_.hidden;
        c.parameters += norms;
        c.active += norms;
        c.elements += 8 * double(n_.hidden) / (coord_.sequence ? double(coord_.tensor) : 1);
        return c;
    }

 private:
    // Whether the gradient of out can serve as that of the layer's result: they are equal, and the layer does not
    // overwrite it.
    bool passes_through() const { return !n_.sandwich_norm && n_.residual_clip == 0 && !layer_.overwrites_dout(); }

    ModelSpec n_;
    MeshCoord coord_;
    Layer layer_;
    ShardSpec norm_sharding_;
};

}  // namespace sluice
