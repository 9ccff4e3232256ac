// Mixture of experts, dropless. A softmax router over all experts picks the top_k of each token. These assignments are
// permuted by expert, so that each projection is one grouped GEMM over ragged groups; the results are permuted back and
// summed.
//
//     p = softmax(W_r x);  y = sum of w_e down_e(silu(gate_e x) up_e x) over the top_k of p
//
// (top_k of p + bias with a selection bias), where w = p, or p over the sum of the top_k p. The weight multiplies an
// expert's hidden activation. So the router's gradient comes from there, and no expert's output is kept. gate and up
// are a grouped GEMM each, since an expert's two matrices lie in two tensors; without experts they are one.
//
// An expert group splits the experts: its ranks first exchange counts, then dispatch and combine rows by all-to-all. A
// tensor group splits the width of each expert: the result is a partial sum, as SwiGlu's. Balance over the global
// batch: arXiv 2501.11873; z-loss: 2202.08906; selection bias: 2408.15664.
#pragma once
#include <string>
#include <vector>

#include "config/specs.h"
#include "kernels/ops.h"
#include "layers/cost.h"
#include "layers/pass.h"
#include "layers/swiglu.h"
#include "tensor/params.h"

namespace sluice {

// What a layer's router adds up over the micro-batches of a step, in the backend's memory.
struct Routing {
    int64_t* tokens_per_expert = nullptr;         // (experts): counts of this rank's tokens
    int64_t* global_tokens_per_expert = nullptr;  // (experts): of all data-parallel ranks; with balance global_batch
    RouterSums* sums = nullptr;                   // (1): this rank's part of the means over tokens
};

template <class B>
class Moe {
 public:
    using T = typename B::T;
    using A = typename B::A;

    Moe(const ModelSpec& model, int64_t layer, const MeshCoord& coord);

    template <class X>
    struct ParamsOf {
        X* router = nullptr;                                // (experts, hidden)
        A* bias = nullptr;                                  // (experts): not trained
        X *gate = nullptr, *up = nullptr, *down = nullptr;  // (experts, width, hidden) twice, (experts, hidden, width)
    };
    using Params = ParamsOf<T>;
    using Gradients = ParamsOf<typename B::G>;
    template <class V, class X>
    void params(V&& v, ParamsOf<X>& p, const std::string& prefix) const {
        const Init init{Init::normal, init_std_};
        v(prefix + "router.weight", p.router, {n_.experts, hidden_}, init, Role::rows, ShardSpec::partial());
        if (n_.balance == Balance::bias)
            v(prefix + "router.bias", p.bias, {n_.experts}, Init{Init::zero}, Role::untrained);
        const ShardSpec rows = ShardSpec::split_experts(1, coord_.tensor);
        const ShardSpec columns = ShardSpec::split_experts(2, coord_.tensor);
        v(prefix + "experts.gate.weight", p.gate, {n_.experts, n_.hidden, hidden_}, init, Role::map, rows);
        v(prefix + "experts.up.weight", p.up, {n_.experts, n_.hidden, hidden_}, init, Role::map, rows);
        v(prefix + "experts.down.weight", p.down, {n_.experts, hidden_, n_.hidden}, down_init_, Role::map, columns);
    }

    // `rows`: a row is one token for one expert of this rank. Their number changes from pass to pass; buffers are
    // allocated for the worst case, in which every token of the expert group picks as many of these experts as it can.
    struct Acts {
        A* logits = nullptr;                                     // (tokens, experts): not rounded, so that few tie
        A *probs = nullptr, *lse = nullptr, *weights = nullptr;  // (tokens, experts), (tokens), (tokens, top_k)
        int32_t* topk_ids = nullptr;                             // (tokens, top_k): the experts that a token picks
        int32_t* permutation = nullptr;                          // (tokens, top_k): sorted position of each assignment
        int64_t* tokens_per_expert = nullptr;                    // (experts): of this rank's tokens
        int64_t* recv_counts = nullptr;  // (expert ranks, experts of this rank): rows that each rank sends
        int64_t* offsets = nullptr;      // (experts of this rank + 1): first row of each expert
        int32_t* recv_index = nullptr;   // (rows): index of each sorted row as it was received
        T* x = nullptr;                  // (rows, hidden), sorted by expert
        A* weight = nullptr;             // (rows): the router's weight
        T *gate = nullptr, *up = nullptr, *hidden = nullptr;  // (rows, width); hidden: times the router's weight

        // On the host: the number of rows; with an expert group what tokens_per_expert and recv_counts hold, and the
        // rows to and from each of its ranks.
        int64_t rows = 0;
        std::vector<int64_t> sent, received, send_rows, recv_rows;
    };
    template <class V>
    void acts(V&& v, Acts& a, int64_t tokens) const {
        const int64_t E = n_.experts, k = n_.top_k, P = coord_.expert, rows = max_rows(tokens);
        v("logits", a.logits, {tokens, E});
        v("probs", a.probs, {tokens, E});
        v("lse", a.lse, {tokens});
        v("weights", a.weights, {tokens, k});
        v("topk_ids", a.topk_ids, {tokens, k});
        v("permutation", a.permutation, {tokens, k});
        v("tokens_per_expert", a.tokens_per_expert, {E});
        v("recv_counts", a.recv_counts, {P, experts_});
        v("offsets", a.offsets, {experts_ + 1});
        v("recv_index", a.recv_index, {P > 1 ? rows : 0});
        v("expert.x", a.x, {rows, hidden_});
        v("expert.weight", a.weight, {rows});
        v("expert.gate", a.gate, {rows, width_});
        v("expert.up", a.up, {rows, width_});
        v("expert.hidden", a.hidden, {rows, width_});
        for (auto* counts : {&a.sent, &a.received}) counts->resize(size_t(E));
        for (auto* rows_by_rank : {&a.send_rows, &a.recv_rows}) rows_by_rank->resize(size_t(P));
    }

    struct Scratch {
        T *send = nullptr, *recv = nullptr;  // (tokens, top_k, hidden), (rows, hidden): buffers of the all-to-alls
        T* y = nullptr;                      // (rows, hidden): results; in backward gradients of results, then of x
        T* dhidden = nullptr;                // (rows, width)
        A *dweight = nullptr, *dweights = nullptr, *load = nullptr;  // (rows), (tokens, top_k), (experts)
        T* dlogits = nullptr;                                        // (tokens, experts)
        int64_t* global_counts = nullptr;                            // (experts)
    };
    template <class V>
    void scratch(V&& v, Scratch& s, int64_t tokens, bool backward) const {
        const int64_t rows = max_rows(tokens);
        const bool exchanged = coord_.expert > 1;
        v("expert.send", s.send, {exchanged ? tokens * n_.top_k : 0, hidden_});
        v("expert.recv", s.recv, {exchanged ? rows : 0, hidden_});
        v("expert.y", s.y, {rows, hidden_});
        if (!backward) return;
        v("expert.dhidden", s.dhidden, {rows, width_});
        v("expert.dweight", s.dweight, {rows});
        v("dweights", s.dweights, {tokens, n_.top_k});
        v("load", s.load, {n_.experts});
        v("dlogits", s.dlogits, {tokens, n_.experts});
        v("global_counts", s.global_counts, {n_.experts});
    }

    // out = or += the experts' partial sums; x, out (tokens, hidden).
    void forward(const Pass<B>&, const Params&, Acts&, const Scratch&, T* out, const T* x, Into) const;
    // dx = or += partial sums of the gradient. Overwrites the acts. Adds to this layer's entry of pass.routing.
    void backward(const Pass<B>&, const Params& w, Gradients& dw, Acts&, const Scratch&, T* dx, const T* dout,
                  const T* x, Into) const;
    // After a forward that no backward follows: adds picks and entropy to this layer's entry of pass.routing, as
    // backward does.
    void probe(const Pass<B>&, const Acts&, const Scratch&) const;
    Cost cost(const Workload& load) const;

 private:
    int64_t max_rows(int64_t tokens) const {
        return tokens * (coord_.even_load ? n_.top_k : coord_.expert * std::min(n_.top_k, experts_));
    }
    GroupedShape inner(const Acts& a) const { return {a.offsets, a.rows, experts_, hidden_, width_}; }
    GroupedShape outer(const Acts& a) const { return {a.offsets, a.rows, experts_, width_, hidden_}; }
    void route(const Pass<B>&, const Params&, Acts&, const T* x) const;
    void exchange_counts(const Pass<B>&, Acts&) const;
    // dispatch: out (rows, width), sorted by expert, from x (tokens * top_k / per, width) of this rank's tokens, where
    // `per` assignments have one row of x in common. combine: back from y (rows, width) to this rank's assignments, in
    // the sorted order of a.permutation. Each is the other's partner in backward.
    template <class X>
    void dispatch(const Pass<B>&, const Acts&, const Scratch&, X* out, const X* x, int64_t width, int64_t per) const;
    template <class X>
    const X* combine(const Pass<B>&, const Acts&, const Scratch&, const X* y, int64_t width) const;
    void load_balance_loss(const Pass<B>&, const Acts&, const Scratch&) const;

    MoeSpec n_;
    int64_t layer_, hidden_;
    MeshCoord coord_;
    int64_t experts_, width_;  // of this rank
    double init_std_;
    Init down_init_;
};

}  // namespace sluice
