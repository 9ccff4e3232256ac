// Attention with its gates: heads (projections, query, key and value gates, QK-norm, RoPE), a core that mixes tokens,
// and the output (sdpa_norm, sdpa_activation, sdpa gates, projection, output gates). A tensor group splits the heads.
#pragma once
#include <string>
#include <vector>

#include "mixers/core.h"
#include "mixers/heads.h"
#include "mixers/output.h"

namespace sluice {

template <class B>
class Attention {
 public:
    using T = typename B::T;

    Attention(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
        : hidden_(model.hidden),
          coord_(coord),
          heads_(model, coord),
          gates_(heads_.end(), model, layer, coord),
          core_(model, layer, coord),
          output_(model, layer, coord),
          init_std_(model.init_std) {}

    template <class X>
    struct ParamsOf {
        typename Heads<B>::template ParamsOf<X> heads;
        typename Core<B>::template ParamsOf<X> core;
        typename Output<B>::template ParamsOf<X> output;
        std::vector<typename Gates<B>::template ParamsOf<X>> gates;
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    // The matrices that read x come first and are one matrix: projections, then scores of gates. The gradient's norm is
    // summed in this order. A resumed run must repeat it to the bit: do not change it.
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& block) const {
        const std::string prefix = block + "attention.";
        heads_.matrices(v, p.heads, prefix);
        gates_.matrices(v, p.gates, prefix, init_std_);
        gates_.others(v, p.gates, prefix, init_std_);
        output_.matrices(v, p.output, prefix);
        heads_.norms(v, p.heads, prefix);
        output_.norms(v, p.output, prefix);
        core_.params(v, p.core, prefix);
    }

    struct Acts {
        T* product = nullptr;  // (tokens, width): x times all matrices that read it
        typename Heads<B>::Acts heads;
        typename Core<B>::Acts core;
        typename Output<B>::Acts output;
        std::vector<typename Gates<B>::Acts> gates;
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens, int64_t rows) const {
        v("product", a.product, {tokens, width()});
        heads_.acts(v, a.heads, tokens);
        gates_.acts(v, a.gates, tokens, rows);
        core_.acts(v, a.core, tokens);
        output_.acts(v, a.output, tokens, rows);
    }

    struct Scratch {
        T* dproduct = nullptr;  // (tokens, width)
        typename Heads<B>::Scratch heads;
        typename Core<B>::Scratch core;
        typename Output<B>::Scratch output;
        typename Gates<B>::Scratch gates;
        T* doutput_gates = nullptr;  // (rows, hidden): the gradient that reaches x through scores of output gates
    };
    template <class V>
    void scratch(V&& v, Scratch& s, const ScratchUse& use) const {
        if (!use.backward) return;
        const int64_t tokens = use.batch.tokens();
        if (output_gates()) v("doutput_gates", s.doutput_gates, {use.rows, hidden_});
        v("dproduct", s.dproduct, {tokens, width()});
        output_.scratch(v, s.output, tokens);
        heads_.scratch(v, s.heads, tokens);
        core_.scratch(v, s.core, use);
        gates_.scratch(v, s.gates, tokens);
    }

    // Makes what the core keeps of the stream for batches of this shape, before the first pass. Returns how its
    // attention is made, see prepare_attention; empty where there is one way.
    std::string prepare(Stream stream, const Batch& largest, bool trains) const {
        return core_.prepare(stream, largest, heads_.strides(gates_, trains));
    }

    // Returns the layer's result, a buffer of the acts. x and the result (rows, hidden).
    T* forward(const Pass<B>&, const Params&, Acts&, const Scratch&, const T* x) const;
    // dx, dout (rows, hidden). Overwrites dx and the acts, and dout where there are output gates.
    bool overwrites_dout() const { return output_gates(); }
    void backward(const Pass<B>&, const Params& w, Gradients& dw, Acts&, const Scratch&, T* dx, T* dout,
                  const T* x) const;
    // After forward, with the scratch of backward: adds up what gates and weights are.
    void probe(const Pass<B>&, const Params&, const Acts&, const Scratch&, const LayerProbe<B>&) const;
    Cost cost(const Workload& load) const;

 private:
    bool output_gates() const { return gates_.any(Position::output); }
    int64_t width() const { return gates_.end(); }  // columns of the product
    static Qkv<const T> qkv(const typename Heads<B>::Acts& a) { return {a.q_out, a.k_out, a.v_out}; }

    int64_t hidden_;
    MeshCoord coord_;
    Heads<B> heads_;
    Gates<B> gates_;
    Core<B> core_;
    Output<B> output_;
    double init_std_;
};

}  // namespace sluice
