// Gates: y' = y * g or y + g, with g = scale act(s) and scores s = x W (+ bias) or a learned constant (arXiv
// 2505.06708, section 2). A layer holds a list; gates of one position act in list order. Variants differ only in the
// score's strides (granularity, sharing, constants) and in a pair of scalar functions (activation, combination): the
// code is the same.
//
// The scores of query, key, value and sdpa gates are columns of the layer's product of x, behind those of the heads.
// Those of gates that read something else are products of their own: output gates read only the rows that a rank holds;
// with input_width the first channels of x; with rank another map of x, up act(down x).
#pragma once
#include <vector>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/gated_shape.h"
#include "layers/pass.h"
#include "layers/probe.h"
#include "tensor/arena.h"
#include "tensor/params.h"

namespace sluice {

template <class B>
class Gates {
 public:
    using T = typename B::T;

    // begin: the first column of their scores in the layer's product.
    Gates(int64_t begin, const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    int64_t end() const { return end_; }  // one past the last column

    template <class X>
    struct ParamsOf {
        X *weight = nullptr, *bias = nullptr;  // (score rows, input; with rank: rank), (score rows)
        X* down = nullptr;                     // (rank, input), with rank
        X* constant = nullptr;                 // the score of every token, instead of all these
    };
    using Params = std::vector<ParamsOf<T>>;
    using Gradients = std::vector<ParamsOf<typename B::G>>;
    // The matrices of scores in the layer's product, and then all others.
    template <class V, class X>
    void matrices(V&& v, std::vector<ParamsOf<X>>& p, const std::string& prefix, double init_std) const {
        p.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++)
            if (gates_[j].in_product()) matrix(v, p[j], prefix, j, init_std, Place::below);
    }
    template <class V, class X>
    void others(V&& v, std::vector<ParamsOf<X>>& p, const std::string& prefix, double init_std) const {
        p.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++) {
            const Gate& g = gates_[j];
            if (g.spec.input == GateInput::none) {
                v(name(prefix, j) + "constant", p[j].constant, g.constant_shape(), Init{Init::zero}, Role::plain,
                  g.sharding);
                continue;
            }
            if (g.spec.rank)
                v(name(prefix, j) + "down.weight", p[j].down, {g.spec.rank, g.input}, Init{Init::normal, init_std},
                  Role::map, g.down_sharding());
            if (!g.in_product()) matrix(v, p[j], prefix, j, init_std, Place::aligned);
            if (g.spec.bias)
                v(name(prefix, j) + "bias", p[j].bias, {g.whole_rows()}, Init{Init::zero}, Role::plain, g.sharding);
        }
    }

    struct Acts {
        T* score = nullptr;                          // (tokens, score rows), of a product of its own
        T* input = nullptr;                          // (tokens, input): with input_width, the channels that it reads
        T *low = nullptr, *activated_low = nullptr;  // (tokens, rank): with rank, and with rank_activation
        T* mean = nullptr;  // (tokens, score channels): with averaged scores, their mean over heads
        T* out = nullptr;   // (tokens, heads, channels)
        Rows<const T> y{};  // (heads, channels) a row: the input of forward
    };
    // Gates act on all tokens of a pass, at the output only on the rows that this rank holds.
    template <class V>
    void acts(V&& v, std::vector<Acts>& a, int64_t all_tokens, int64_t rows) const {
        a.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++) {
            const Gate& g = gates_[j];
            const int64_t tokens = g.at_output() ? rows : all_tokens;
            if (g.own_product()) v("gate.score", a[j].score, {tokens, g.rows()});
            if (g.narrow()) v("gate.input", a[j].input, {tokens, g.input});
            if (g.spec.rank) v("gate.low", a[j].low, {tokens, g.spec.rank});
            if (g.activates_low()) v("gate.activated_low", a[j].activated_low, {tokens, g.spec.rank});
            if (g.spec.heads == HeadSharing::averaged) v("gate.mean", a[j].mean, {tokens, g.score_channels()});
            v("gate.out", a[j].out, {tokens, g.n.heads, g.n.channels});
        }
    }

    struct Scratch {
        T* dmean = nullptr;      // (tokens, score channels), with averaged scores
        T* dlow = nullptr;       // (tokens, rank), with rank
        T* dinput = nullptr;     // (tokens, input), with input_width
        std::vector<T*> dscore;  // of each gate (tokens, score rows), of a product of its own that reads all tokens
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        int64_t channels = 0, rank = 0, input = 0;
        for (const Gate& g : gates_) {
            if (g.spec.heads == HeadSharing::averaged) channels = std::max(channels, g.score_channels());
            if (g.narrow()) input = std::max(input, g.input);
            rank = std::max(rank, g.spec.rank);
        }
        v("gate.dmean", s.dmean, {tokens, channels});
        v("gate.dlow", s.dlow, {tokens, rank});
        v("gate.dinput", s.dinput, {tokens, input});
        s.dscore.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++)
            if (gates_[j].own_product() && !gates_[j].at_output())
                v("gate.dscore", s.dscore[j], {tokens, gates_[j].rows()});
    }

    // Returns the gated y, (heads, channels) a row: a buffer of the acts, or y itself without a gate at this position.
    // product: of all tokens; biases are added to its scores. x: of the tokens that a gate at this position reads.
    Rows<T> forward(Position, const Pass<B>&, const Params&, std::vector<Acts>&, Rows<T> y, Rows<T> product,
                    const T* x) const;
    // dy holds the gradient of forward's result on entry, and that of its y on return. Leaves the gradients of scores
    // in dproduct, or in the scratch; those of output gates go on to dw and dx (rows, hidden) +=. Overwrites the acts.
    void backward(Position, const Pass<B>&, const Params& w, Gradients& dw, std::vector<Acts>&, const Scratch&,
                  Rows<T> dy, Rows<T> dproduct, Rows<const T> product, T* dx, const T* x) const;
    // The gradients of scores that backward left in the scratch go on to dw, and to dx (tokens, hidden) +=.
    void backward_products(const Pass<B>&, const Params& w, Gradients& dw, std::vector<Acts>&, const Scratch&, T* dx,
                           const T* x) const;

    // After forward: adds up what the factors of each gate are.
    void probe(const Pass<B>&, const Params&, const std::vector<Acts>&, Rows<const T> product,
               const LayerProbe<B>&) const;

    bool any(Position position) const;
    Cost cost(const Workload& load) const;

 private:
    struct Gate {
        GateSpec spec;
        GatedShape whole, n;  // shape of what it gates: of all ranks together, on this one
        ShardSpec sharding;   // of weight, bias and constant
        int64_t hidden;       // width of x
        int64_t input;        // channels of x that it reads
        int64_t begin = 0;    // first column of its scores in the layer's product
        bool at_output() const { return spec.position == Position::output; }
        bool narrow() const { return input < hidden; }
        bool activates_low() const { return spec.rank && spec.rank_activation == RankActivation::silu; }
        bool own_product() const {
            return spec.input == GateInput::hidden && (at_output() || narrow() || spec.rank > 0);
        }
        bool in_product() const { return spec.input == GateInput::hidden && !own_product(); }
        // Every rank has the whole map down, and with heads of its own a partial sum of its gradient.
        ShardSpec down_sharding() const { return at_output() ? sharding : ShardSpec::partial(); }
        int64_t score_channels() const { return spec.granularity == Granularity::headwise ? 1 : n.channels; }
        int64_t score_heads() const { return spec.heads == HeadSharing::shared ? 1 : n.heads; }
        int64_t rows() const { return score_heads() * score_channels(); }
        int64_t whole_rows() const { return (spec.heads == HeadSharing::shared ? 1 : whole.heads) * score_channels(); }
        Factor factor() const { return {spec.activation, spec.scale}; }
        std::vector<int64_t> constant_shape() const;
        // row_stride: from the scores of a token to those of the next.
        GateShape shape(int64_t tokens, int64_t row_stride) const;
    };
    static std::string name(const std::string& prefix, size_t gate) {
        return prefix + "gates." + std::to_string(gate) + ".";
    }
    template <class V, class X>
    void matrix(V&& v, ParamsOf<X>& p, const std::string& prefix, size_t j, double init_std, Place place) const {
        const Gate& g = gates_[j];
        v(name(prefix, j) + (g.spec.rank ? "up.weight" : "weight"), p.weight,
          {g.whole_rows(), g.spec.rank ? g.spec.rank : g.input}, Init{Init::normal, g.spec.init_std.value_or(init_std)},
          Role::map, g.sharding, place);
    }
    // The scores of a gate with a product of its own, and its backward: dw +=, dx (tokens, hidden) +=.
    void project(const Gate&, const Pass<B>&, const ParamsOf<T>&, Acts&, const T* x, int64_t tokens) const;
    void project_backward(const Gate&, const Pass<B>&, const ParamsOf<T>& w, ParamsOf<typename B::G>& dw, const Acts&,
                          const Scratch&, const T* dscore, T* dx, const T* x, int64_t tokens) const;
    int64_t tokens(Position position, const Pass<B>& pass) const {
        return position == Position::output ? pass.rows : pass.tokens();
    }

    int64_t hidden_;
    MeshCoord coord_;
    std::vector<Gate> gates_;
    int64_t end_;
};

// The gates of a layer in one pass, bound to its tensors: heads.h and output.h call them, each at its own positions.
template <class B>
struct GatesForward {
    const Gates<B>& gates;
    const Pass<B>& pass;
    const typename Gates<B>::Params& w;
    std::vector<typename Gates<B>::Acts>& a;
    Rows<typename B::T> product;
    const typename B::T *x, *rows_x;  // of all tokens, and of the rows that this rank holds

    Rows<typename B::T> operator()(Position position, Rows<typename B::T> y) const {
        return gates.forward(position, pass, w, a, y, product, position == Position::output ? rows_x : x);
    }
};
template <class B>
struct GatesBackward {
    const Gates<B>& gates;
    const Pass<B>& pass;
    const typename Gates<B>::Params& w;
    typename Gates<B>::Gradients& dw;
    std::vector<typename Gates<B>::Acts>& a;
    const typename Gates<B>::Scratch& s;
    Rows<typename B::T> dproduct;
    Rows<const typename B::T> product;
    typename B::T* rows_dx;
    const typename B::T* rows_x;

    void operator()(Position position, Rows<typename B::T> dy) const {
        gates.backward(position, pass, w, dw, a, s, dy, dproduct, product, rows_dx, rows_x);
    }
};

}  // namespace sluice
