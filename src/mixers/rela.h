// The core of ReLA (arXiv 2104.07012): attention whose weights are relu(q k / sqrt(dim)). They are not divided by their
// sum; an RMSNorm over the channels of all heads scales the result instead:
//
//     z = sum over keys of relu(q k / sqrt(dim)) v;  y = w z / sqrt(mean(z^2) + eps)  (times sigmoid(u z))
//
// The sum is over the keys that causality, window and documents leave. A tensor group splits the heads, and so the
// mean: its ranks sum each token's squares in forward, and its dot products in backward.
#pragma once
#include <string>

#include "layers/probe.h"
#include "mixers/tokens.h"

namespace sluice {

template <class B>
class RelaCore {
 public:
    using T = typename B::T;
    using A = typename B::A;
    static constexpr AttentionKind kind = AttentionKind::rela;

    RelaCore(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
        : mixing_(model, layer, coord),
          coord_(coord),
          gated_(model.attention.at(layer).rela_gate),
          norm_eps_(model.norm_eps) {}

    template <class X>
    struct ParamsOf {
        X *norm = nullptr, *gate = nullptr;  // w and u, (heads dim); u null without rela_gate
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        const ShardSpec heads = ShardSpec::split(0, coord_.tensor);
        v(prefix + "rela_norm.weight", p.norm, {mixing_.whole_width()}, Init{Init::one}, Role::plain, heads);
        if (gated_)
            v(prefix + "rela_gate.weight", p.gate, {mixing_.whole_width()}, Init{Init::zero}, Role::plain, heads);
    }

    struct Acts {
        T *z = nullptr, *out = nullptr;  // (tokens, heads, dim)
        A* rstd = nullptr;               // (tokens)
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("z", a.z, {tokens, mixing_.heads(), mixing_.dim()});
        v("rela_normed", a.out, {tokens, mixing_.heads(), mixing_.dim()});
        v("rela_rstd", a.rstd, {tokens});
    }

    struct Scratch {
        A* dots = nullptr;  // (tokens): the dot products that the norm's backward needs, see rela_norm_dots
    };
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        const int64_t tokens = use.batch.tokens();
        v("rela_dots", s.dots, {tokens});
    }

    std::string prepare(Stream, const Batch&, const AttentionStrides&) const {
        return B::kStorage == Storage::cpu ? "" : "own: ReLA";  // no library has it
    }
    T* forward(const Pass<B>&, const Params&, Acts&, const Qkv<const T>& in) const;
    // Overwrites dout.
    void backward(const Pass<B>&, const Params& w, Gradients& dw, const Acts&, const Scratch&, const Qkv<T>& din,
                  T* dout, const Qkv<const T>& in) const;
    // Its weights are no distribution.
    void probe(const Pass<B>&, const Acts&, const Scratch&, T*, const Qkv<const T>&, const LayerProbe<B>&) const {}
    Cost cost(const Workload& load) const;

 private:
    TokenMixing mixing_;
    MeshCoord coord_;
    bool gated_;
    double norm_eps_;
};

}  // namespace sluice
