// Routed experts, dropless: a softmax router over all experts picks top_k for each token; picks are sorted by expert,
// so that each projection is one grouped GEMM over ragged groups; results return to their tokens and are summed.
//
//     p = softmax(W_r x);  y = sum of w_e down_e(silu(gate_e x) up_e x) over the top_k of p
//
// (of p + bias with a selection bias, for the choice alone), and w = p, or p over the picked p's sum. The weight
// multiplies an expert's inner product, so that the router's gradient comes from there and no expert's output is kept.
// An expert group cuts the experts (rows travel by all-to-all, counts first), a tensor group the width of each (what is
// made is a partial sum, like SwiGlu's). Balance over the global batch: arXiv 2501.11873; z-loss: 2202.08906; selection
// bias: 2408.15664.
#pragma once
#include <string>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/shapes.h"
#include "layers/swiglu.h"
#include "tensor/params.h"

namespace sluice {

// What a layer's router has seen in a step, over its micro-batches.
struct Routing {
    int64_t* picks = nullptr;  // (experts), of this rank's tokens
    int64_t* seen = nullptr;   // (experts), over all data-parallel ranks: balance global_batch only
    RouterSums sums;           // this rank's part of the means over tokens
};

template <class B>
class Experts {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Experts(const ModelSpec& model, int64_t layer, const Place& place);

    struct Params {
        T *router = nullptr, *bias = nullptr;               // (experts, hidden), (experts)
        T *gate = nullptr, *up = nullptr, *down = nullptr;  // (experts, width, hidden) twice, (experts, hidden, width)
    };
    template <class V>
    void params(V&& v, Params& p, const std::string& prefix) const {
        const Init init{Init::normal, init_std_};
        v(prefix + "router.weight", p.router, {n_.experts, hidden_}, init, Decay::yes,
          Cut{-1, 1, false, Cut::over_tensor});
        if (n_.balance == Balance::bias)
            v(prefix + "router.bias", p.bias, {n_.experts}, Init{Init::zero}, Decay::untrained);
        const Cut rows{1, place_.tensor, true}, columns{2, place_.tensor, true};
        v(prefix + "experts.gate.weight", p.gate, {n_.experts, n_.hidden, hidden_}, init, Decay::yes, rows);
        v(prefix + "experts.up.weight", p.up, {n_.experts, n_.hidden, hidden_}, init, Decay::yes, rows);
        v(prefix + "experts.down.weight", p.down, {n_.experts, hidden_, n_.hidden}, down_init_, Decay::yes, columns);
    }

    // Rows of the experts here are ragged: there is room for the worst case, every token of the expert group with as
    // many picks here as can be.
    struct Acts {
        T* logits = nullptr;                                             // (tokens, experts)
        A *probs = nullptr, *lse = nullptr, *weights = nullptr;          // (tokens, experts), (tokens), (tokens, top_k)
        int32_t *picks = nullptr, *slots = nullptr, *origins = nullptr;  // (tokens, top_k)
        int64_t* counts = nullptr;                                       // (experts): picks of this rank's tokens
        int64_t* arrived = nullptr;                                      // (expert ranks, experts here): rows from each
        int64_t *sent_rows = nullptr, *arrived_rows = nullptr;           // (expert ranks)
        int64_t* offsets = nullptr;                                      // (experts here + 1)
        int32_t* arrival = nullptr;                                      // (rows): where each row stood when it arrived
        T* x = nullptr;                                                  // (rows, hidden), sorted by expert
        A* weight = nullptr;                                             // (rows)
        T *gate = nullptr, *up = nullptr, *product = nullptr;            // (rows, width); product times weight
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        const int64_t E = n_.experts, k = n_.top_k, P = place_.expert, rows = most_rows(tokens);
        v("logits", a.logits, {tokens, E});
        v("probs", a.probs, {tokens, E});
        v("lse", a.lse, {tokens});
        v("weights", a.weights, {tokens, k});
        v("picks", a.picks, {tokens, k});
        v("slots", a.slots, {tokens, k});
        v("origins", a.origins, {tokens, k});
        v("counts", a.counts, {E});
        v("arrived", a.arrived, {P, experts_});
        v("sent_rows", a.sent_rows, {P});
        v("arrived_rows", a.arrived_rows, {P});
        v("offsets", a.offsets, {experts_ + 1});
        v("arrival", a.arrival, {P > 1 ? rows : 0});
        v("expert.x", a.x, {rows, hidden_});
        v("expert.weight", a.weight, {rows});
        v("expert.gate", a.gate, {rows, width_});
        v("expert.up", a.up, {rows, width_});
        v("expert.product", a.product, {rows, width_});
    }

    struct Scratch {
        T *sent = nullptr, *arrived = nullptr;  // (tokens, top_k, hidden), (rows, hidden): between ranks
        T* y = nullptr;                         // (rows, hidden): results, or gradients of results and of x
        T* dproduct = nullptr;                  // (rows, width)
        A *dweight = nullptr, *dweights = nullptr, *balance = nullptr;  // (rows), (tokens, top_k), (experts)
        T* dlogits = nullptr;                                           // (tokens, experts)
        int64_t* picks = nullptr;                                       // (experts)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens, bool backward) const {
        const int64_t rows = most_rows(tokens);
        const bool travels = place_.expert > 1;
        v("expert.sent", s.sent, {travels ? tokens * n_.top_k : 0, hidden_});
        v("expert.arrived", s.arrived, {travels ? rows : 0, hidden_});
        v("expert.y", s.y, {rows, hidden_});
        if (!backward) return;
        v("expert.dproduct", s.dproduct, {rows, width_});
        v("expert.dweight", s.dweight, {rows});
        v("dweights", s.dweights, {tokens, n_.top_k});
        v("balance", s.balance, {n_.experts});
        v("dlogits", s.dlogits, {tokens, n_.experts});
        v("picks", s.picks, {n_.experts});
    }

    // out = or += the experts' partial sums; x, out (tokens, hidden).
    void forward(const Pass<B>&, const Params&, Acts&, const Scratch&, T* out, const T* x, Into) const;
    // dx = or += partial sums; overwrites the acts. Adds to the pass's routing of this layer.
    void backward(const Pass<B>&, const Params& w, Params& dw, Acts&, const Scratch&, T* dx, const T* dout, const T* x,
                  Into) const;
    Cost cost(const Workload& load) const;

 private:
    int64_t most_rows(int64_t tokens) const {
        return tokens * (place_.even_load ? n_.top_k : place_.expert * std::min(n_.top_k, experts_));
    }
    GroupedShape inner(const Acts& a) const { return {a.offsets, experts_, hidden_, width_}; }
    GroupedShape outer(const Acts& a) const { return {a.offsets, experts_, width_, hidden_}; }
    int64_t rows(const Acts& a) const { return a.offsets[experts_]; }
    void route(const Pass<B>&, const Params&, Acts&, const T* x) const;
    void count_arrivals(const Pass<B>&, Acts&) const;
    // out (rows, width), sorted by expert, from x (tokens * top_k / per, width) of this rank's tokens; and the way
    // back, to the picks in order of their slots: the other's partner.
    template <class X>
    void send(const Pass<B>&, const Acts&, const Scratch&, X* out, const X* x, int64_t width, int64_t per) const;
    template <class X>
    const X* send_back(const Pass<B>&, const Acts&, const Scratch&, const X* y, int64_t width) const;
    void balance(const Pass<B>&, const Acts&, const Scratch&) const;

    MoeSpec n_;
    int64_t layer_, hidden_;
    Place place_;
    int64_t experts_, width_;  // of this rank
    double init_std_;
    Init down_init_;
};

}  // namespace sluice
