// Gates: y' = y * act(s) or y + act(s), with scores s = x W (+ bias) or a learned constant (arXiv 2505.06708, section
// 2). A layer holds a list; gates of one position act in list order. Variants differ only in the score's strides
// (granularity, sharing, constants) and in a pair of scalar functions (activation, combination): the code is the same.
#pragma once
#include <vector>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"
#include "tensor/arena.h"
#include "tensor/params.h"

namespace sluice {

// The shape of the tensor that a position gates, (tokens, heads, channels), of all ranks together.
struct GatedShape {
    int64_t heads, channels;
};
GatedShape gated_shape(Position position, const ModelSpec& model);
// Splits `heads` heads over the tensor group, along dimension 0. With fewer heads than ranks, neighbouring ranks hold
// the same head, and each has a partial sum of its gradient.
ShardSpec shard_by_head(int64_t heads, const MeshCoord& coord);

template <class B>
class Gates {
 public:
    using T = typename B::T;

    Gates(const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    struct Params {
        T *weight = nullptr, *bias = nullptr;  // (score rows, hidden), (score rows)
        T* constant = nullptr;                 // the score of every token, instead of weight and bias
    };
    template <class V>
    void params(V&& v, std::vector<Params>& p, const std::string& prefix, double init_std) const {
        p.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++) {
            const Gate& g = gates_[j];
            const std::string name = prefix + "gates." + std::to_string(j) + ".";
            if (g.spec.input == GateInput::none) {
                v(name + "constant", p[j].constant, g.constant_shape(), Init{Init::zero}, Role::plain, g.sharding);
                continue;
            }
            const int64_t rows = g.whole_score_heads() * g.score_channels();
            v(name + "weight", p[j].weight, {rows, hidden_}, Init{Init::normal, g.spec.init_std.value_or(init_std)},
              Role::map, g.sharding);
            if (g.spec.bias) v(name + "bias", p[j].bias, {rows}, Init{Init::zero}, Role::plain, g.sharding);
        }
    }

    struct Acts {
        T* score = nullptr;    // (tokens, score rows)
        T* mean = nullptr;     // (tokens, score channels): with averaged scores, their mean over heads
        T* out = nullptr;      // (tokens, heads, channels)
        const T* y = nullptr;  // (tokens, heads, channels): the input of forward
    };
    // Gates act on all tokens of a pass, at the output only on the rows that this rank holds.
    template <class V>
    void acts(V&& v, std::vector<Acts>& a, int64_t all_tokens, int64_t rows) const {
        a.resize(gates_.size());
        for (size_t j = 0; j < gates_.size(); j++) {
            const Gate& g = gates_[j];
            const int64_t tokens = g.spec.position == Position::output ? rows : all_tokens;
            if (g.spec.input == GateInput::hidden) v("gate.score", a[j].score, {tokens, g.rows()});
            if (g.spec.heads == HeadSharing::averaged) v("gate.mean", a[j].mean, {tokens, g.score_channels()});
            v("gate.out", a[j].out, {tokens, g.n.heads, g.n.channels});
        }
    }

    struct Scratch {
        // Of gates whose heads have a score in common: (tokens, score rows), (tokens, score channels).
        T *dscore = nullptr, *dmean = nullptr;
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens) const {
        int64_t rows = 0, channels = 0;
        for (const Gate& g : gates_) {
            if (g.spec.input == GateInput::hidden && g.spec.heads != HeadSharing::specific)
                rows = std::max(rows, g.rows());
            if (g.spec.heads == HeadSharing::averaged) channels = std::max(channels, g.score_channels());
        }
        v("gate.dscore", s.dscore, {tokens, rows});
        v("gate.dmean", s.dmean, {tokens, channels});
    }

    // Returns the gated y (tokens, heads, channels): a buffer of the acts, or y itself without a gate at this position.
    // x (tokens, hidden). At the output both have `rows` instead of `tokens` rows.
    T* forward(Position, const Pass<B>&, const std::vector<Params>&, std::vector<Acts>&, T* y, const T* x) const;
    // dy holds the gradient of forward's result on entry, and that of its y on return. dx += the gradient that reaches
    // x through the scores. Overwrites the acts.
    void backward(Position, const Pass<B>&, const std::vector<Params>& w, std::vector<Params>& dw, std::vector<Acts>&,
                  const Scratch&, T* dy, T* dx, const T* x) const;

    bool any(Position position) const;
    Cost cost(const Workload& load) const;

 private:
    struct Gate {
        GateSpec spec;
        GatedShape whole, n;  // shape of what it gates: of all ranks together, on this one
        ShardSpec sharding;   // of weight, bias and constant
        int64_t score_channels() const { return spec.granularity == Granularity::headwise ? 1 : n.channels; }
        int64_t score_heads() const { return spec.heads == HeadSharing::shared ? 1 : n.heads; }
        int64_t whole_score_heads() const { return spec.heads == HeadSharing::shared ? 1 : whole.heads; }
        int64_t rows() const { return score_heads() * score_channels(); }
        std::vector<int64_t> constant_shape() const;
        GateShape shape(int64_t tokens) const;
    };
    int64_t tokens(Position position, const Pass<B>& pass) const {
        return position == Position::output ? pass.rows : pass.tokens();
    }

    int64_t hidden_;
    MeshCoord coord_;
    std::vector<Gate> gates_;
};

// The gates of a layer in one pass, bound to its tensors: heads.h and output.h call them, each at its own positions.
// x (tokens, hidden), rows_x (rows, hidden).
template <class B>
struct GatesForward {
    const Gates<B>& gates;
    const Pass<B>& pass;
    const std::vector<typename Gates<B>::Params>& w;
    std::vector<typename Gates<B>::Acts>& a;
    const typename B::T *x, *rows_x;

    typename B::T* operator()(Position position, typename B::T* y) const {
        return gates.forward(position, pass, w, a, y, position == Position::output ? rows_x : x);
    }
};
template <class B>
struct GatesBackward {
    const Gates<B>& gates;
    const Pass<B>& pass;
    const std::vector<typename Gates<B>::Params>& w;
    std::vector<typename Gates<B>::Params>& dw;
    std::vector<typename Gates<B>::Acts>& a;
    const typename Gates<B>::Scratch& s;

    void operator()(Position position, typename B::T* dy, typename B::T* dx, const typename B::T* x) const {
        gates.backward(position, pass, w, dw, a, s, dy, dx, x);
    }
};

}  // namespace sluice
