// The core of an attention layer: one of several classes, chosen by `attention.kind`. A core mixes the tokens of every
// head. It does not depend on projections, gates or RoPE, which come before and after it (heads.h, output.h). It has
//
//     params(v, p, prefix)   its own tensors, named PREFIX...
//     acts(v, a, tokens), scratch(v, s, use)   what backward reads, and what lives within backward
//     prepare(stream, largest, strides)   what it keeps of the stream, before the first pass; returns how it is made
//     forward(pass, w, a, {q, k, v})   returns its result (tokens, heads, dim), a buffer of the acts
//     backward(pass, w, dw, a, s, {dq, dk, dv}, dout, {q, k, v})   overwrites dq, dk and dv, and may overwrite dout
//     probe(pass, a, s, mean_k, {q, k, v}, probe)   after forward: adds up what its weights are
//     cost(load)
#pragma once
#include <optional>
#include <string>
#include <tuple>
#include <variant>

#include "mixers/rela.h"
#include "mixers/softmax.h"

namespace sluice {

template <class B, template <class> class... Cores>
class OneOfCores {
 public:
    using T = typename B::T;

    OneOfCores(const ModelSpec& model, int64_t layer, const MeshCoord& coord) : core_(choose(model, layer, coord)) {}

    template <class X>
    struct ParamsOf : std::tuple<typename Cores<B>::template ParamsOf<X>...> {};
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        visit([&]<class C>(const C& core) { core.params(v, std::get<typename C::template ParamsOf<X>>(p), prefix); });
    }
    struct Acts : std::tuple<typename Cores<B>::Acts...> {};
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        visit([&]<class C>(const C& core) { core.acts(v, std::get<typename C::Acts>(a), tokens); });
    }
    struct Scratch : std::tuple<typename Cores<B>::Scratch...> {};
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        visit([&]<class C>(const C& core) { core.scratch(v, std::get<typename C::Scratch>(s), use); });
    }
    std::string prepare(Stream stream, const Batch& largest, const AttentionStrides& strides) const {
        return visit([&](const auto& core) { return core.prepare(stream, largest, strides); });
    }

    T* forward(const Pass<B>& pass, const Params& w, Acts& a, const Qkv<const T>& in) const {
        return visit([&]<class C>(const C& core) {
            return core.forward(pass, std::get<typename C::Params>(w), std::get<typename C::Acts>(a), in);
        });
    }
    void backward(const Pass<B>& pass, const Params& w, Gradients& dw, const Acts& a, const Scratch& s,
                  const Qkv<T>& din, T* dout, const Qkv<const T>& in) const {
        visit([&]<class C>(const C& core) {
            core.backward(pass, std::get<typename C::Params>(w), std::get<typename C::Gradients>(dw),
                          std::get<typename C::Acts>(a), std::get<typename C::Scratch>(s), din, dout, in);
        });
    }
    // mean_k (tokens, heads, dim) is scratch.
    void probe(const Pass<B>& pass, const Acts& a, const Scratch& s, T* mean_k, const Qkv<const T>& in,
               const LayerProbe<B>& probe) const {
        visit([&]<class C>(const C& core) {
            core.probe(pass, std::get<typename C::Acts>(a), std::get<typename C::Scratch>(s), mean_k, in, probe);
        });
    }
    Cost cost(const Workload& load) const {
        return visit([&](const auto& core) { return core.cost(load); });
    }

 private:
    using OneOf = std::variant<Cores<B>...>;
    // Constructs the class of Cores whose `kind` is the layer's.
    static OneOf choose(const ModelSpec& model, int64_t layer, const MeshCoord& coord) {
        std::optional<OneOf> chosen;
        const AttentionKind kind = model.attention.at(layer).kind;
        ((Cores<B>::kind == kind ? void(chosen.emplace(std::in_place_type<Cores<B>>, model, layer, coord)) : void()),
         ...);
        return *chosen;
    }
    template <class F>
    auto visit(F&& f) const {
        return std::visit(f, core_);
    }

    OneOf core_;
};

template <class B>
using Core = OneOfCores<B, SoftmaxCore, RelaCore>;

}  // namespace sluice
