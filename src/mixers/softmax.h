// The core of softmax attention: softmax(q k / sqrt(dim)) v over the keys that causality, window and documents leave.
#pragma once
#include <string>

#include "kernels/attention_workspace.h"
#include "layers/probe.h"
#include "mixers/tokens.h"

namespace sluice {

template <class B>
class SoftmaxCore {
 public:
    using T = typename B::T;
    using A = typename B::A;
    static constexpr AttentionKind kind = AttentionKind::softmax;

    SoftmaxCore(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
        : mixing_(model, layer, coord),
          asks_for_own_(model.attention_by == AttentionBy::own),
          documents_(model.documents) {}

    template <class X>
    struct ParamsOf {};
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&&, ParamsOf<X>&, const std::string&) const {}

    struct Acts {
        T* out = nullptr;  // (tokens, heads, dim)
        A* lse = nullptr;  // (sequences, heads, length): log-sum-exp of a row's scores
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        v("sdpa", a.out, {tokens, mixing_.heads(), mixing_.dim()});
        v("lse", a.lse, {tokens, mixing_.heads()});
    }

    struct Scratch {
        A* delta = nullptr;              // (sequences, heads, length): sum of dout * out over the channels of a row
        std::byte* workspace = nullptr;  // attention_workspace(): a library's, of backward
    };
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        v("delta", s.delta, {use.batch.tokens(), mixing_.heads()});
        const size_t bytes = use.trains && may_use_library() ? attention_workspace<B>(mixing_.shape(use.batch)) : 0;
        v("workspace", s.workspace, {int64_t(bytes)});
    }
    std::string prepare(Stream stream, const Batch& largest, const AttentionStrides& strides) const {
        if (B::kStorage == Storage::cpu || may_use_library())
            return prepare_attention<B>(stream, mixing_.shape(largest), strides);
        return asks_for_own_ ? "own: train.attention" : "own: documents";
    }

    T* forward(const Pass<B>& pass, const Params&, Acts& a, const Qkv<const T>& in) const {
        attention_forward<B>(pass.stream, a.out, a.lse, in.q, in.k, in.v, pass.doc_start, mixing_.shape(pass.batch));
        return a.out;
    }
    void backward(const Pass<B>& pass, const Params&, Gradients&, const Acts& a, const Scratch& s, const Qkv<T>& din,
                  T* dout, const Qkv<const T>& in) const {
        attention_backward<B>(pass.stream, din.q, din.k, din.v, s.delta, s.workspace, dout, a.out, a.lse, in.q, in.k,
                              in.v, pass.doc_start, mixing_.shape(pass.batch));
    }
    void probe(const Pass<B>& pass, const Acts& a, const Scratch& s, T* mean_k, const Qkv<const T>& in,
               const LayerProbe<B>& probe) const {
        const AttentionShape n = mixing_.shape(pass.batch);
        attention_mean_keys<B>(pass.stream, mean_k, s.delta, in.q, in.k, pass.doc_start, n);
        attention_sums<B>(pass.stream, probe.attention, a.lse, mean_k, s.delta, in.q, in.k, pass.doc_start, n);
        if (probe.map) attention_map<B>(pass.stream, probe.map, a.lse, in.q, in.k, pass.doc_start, probe.map_tokens, n);
    }
    Cost cost(const Workload& load) const {
        Cost c;
        mixing_.add_scores(c, load);
        return c;
    }

 private:
    bool may_use_library() const { return !asks_for_own_ && !documents_; }

    TokenMixing mixing_;
    bool asks_for_own_, documents_;
};

}  // namespace sluice
