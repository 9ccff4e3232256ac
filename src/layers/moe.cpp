#include "layers/moe.h"

#include <algorithm>

#include "parallel/rows.h"

namespace sluice {

template <class B>
Moe<B>::Moe(const ModelSpec& model, int64_t layer, const MeshCoord& coord)
    : n_(model.moe),
      layer_(layer),
      hidden_(model.hidden),
      coord_(coord),
      experts_(model.moe.experts / coord.expert),
      width_(model.moe.hidden / coord.tensor),
      init_std_(model.init_std),
      down_init_(residual_init(model)) {}

// ---------------------------------------------------------------- routing
template <class B>
void Moe<B>::route(const Pass<B>& pass, const Params& w, Acts& a, const T* x) const {
    const int64_t tokens = pass.tokens();
    linear_forward<B>(pass.stream, a.logits, x, w.router, tokens, hidden_, n_.experts);
    router_forward<B>(pass.stream, a.probs, a.lse, a.topk_ids, a.weights, a.tokens_per_expert, a.logits, w.bias,
                      {tokens, n_.experts, n_.top_k, n_.norm_top_k});
    sort_by_expert(pass.stream, a.permutation, a.inverse, a.topk_ids, a.tokens_per_expert, tokens * n_.top_k,
                   n_.experts);
    exchange_counts(pass, a);
}

// Every rank of the expert group sends each other rank the number of rows that it has for that rank's experts. With
// ranks p and experts e of this rank, rows are received in order (p, e) and used in order (e, p):
//
//     received   p0e0 p0e0 p0e1 | p1e0 p1e1 p1e1      recv_index   0 1 3 | 2 4 5
//     used       p0e0 p0e0 p1e0 | p0e1 p1e1 p1e1      offsets      0 3 6
template <class B>
void Moe<B>::exchange_counts(const Pass<B>& pass, Acts& a) const {
    const int64_t P = coord_.expert;
    std::fill_n(a.recv_rows, P, experts_);  // here as counts of the all-to-all: experts_ numbers to and from each rank
    pass.mesh->expert->all_to_all(a.recv_counts, a.recv_rows, a.tokens_per_expert, a.recv_rows);
    a.offsets[0] = 0;
    for (int64_t e = 0; e < experts_; e++) {
        a.offsets[e + 1] = a.offsets[e];
        for (int64_t p = 0; p < P; p++) a.offsets[e + 1] += a.recv_counts[p * experts_ + e];
    }
    for (int64_t p = 0; p < P; p++) {
        a.send_rows[p] = a.recv_rows[p] = 0;
        for (int64_t e = 0; e < experts_; e++) {
            a.send_rows[p] += a.tokens_per_expert[p * experts_ + e];
            a.recv_rows[p] += a.recv_counts[p * experts_ + e];
        }
    }
    if (P == 1) return;
    int64_t row = 0;
    for (int64_t e = 0; e < experts_; e++)
        for (int64_t p = 0, of_rank = 0; p < P; of_rank += a.recv_rows[p++]) {
            int64_t from = of_rank;  // first of the rows that rank p sent for expert e
            for (int64_t i = 0; i < e; i++) from += a.recv_counts[p * experts_ + i];
            for (int64_t i = 0; i < a.recv_counts[p * experts_ + e]; i++) a.recv_index[row++] = int32_t(from + i);
        }
}

template <class B>
template <class X>
void Moe<B>::dispatch(const Pass<B>& pass, const Acts& a, const Scratch& s, X* out, const X* x, int64_t width,
                      int64_t per) const {
    const int64_t assignments = pass.tokens() * n_.top_k;
    if (coord_.expert == 1) return gather_rows(pass.stream, out, x, a.inverse, assignments, width, per);
    X *send = reinterpret_cast<X*>(s.send), *recv = reinterpret_cast<X*>(s.recv);
    gather_rows(pass.stream, send, x, a.inverse, assignments, width, per);
    exchange_rows(*pass.mesh->expert, recv, a.recv_rows, send, a.send_rows, width);
    gather_rows(pass.stream, out, recv, a.recv_index, rows(a), width, 1);
}

template <class B>
template <class X>
const X* Moe<B>::combine(const Pass<B>& pass, const Acts& a, const Scratch& s, const X* y, int64_t width) const {
    if (coord_.expert == 1) return y;
    X *send = reinterpret_cast<X*>(s.recv), *recv = reinterpret_cast<X*>(s.send);  // the buffers swap their roles
    scatter_rows(pass.stream, send, y, a.recv_index, rows(a), width);
    exchange_rows(*pass.mesh->expert, recv, a.send_rows, send, a.recv_rows, width);
    return recv;
}

// ---------------------------------------------------------------- forward
template <class B>
void Moe<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch& s, T* out, const T* x,
                     Into into) const {
    route(pass, w, a, x);
    dispatch(pass, a, s, a.x, x, hidden_, n_.top_k);  // partner: combine of dx
    dispatch(pass, a, s, a.weight, a.weights, 1, 1);  // partner: combine of dweight
    grouped_linear_forward<B>(pass.stream, a.gate, a.x, w.gate, inner(a));
    grouped_linear_forward<B>(pass.stream, a.up, a.x, w.up, inner(a));
    weighted_swiglu_forward<B>(pass.stream, a.hidden, a.gate, a.up, a.weight, rows(a), width_);
    grouped_linear_forward<B>(pass.stream, s.y, a.hidden, w.down, outer(a));
    const T* results = combine(pass, a, s, s.y, hidden_);  // partner: dispatch of dout
    sum_rows_at<B>(pass.stream, out, results, a.permutation, pass.tokens(), n_.top_k, hidden_, into);
}

// ---------------------------------------------------------------- backward
// Leaves in s.balance (experts) the derivative of the load-balance loss by each expert's probability for one token, and
// adds the losses and counts to this layer's routing.
template <class B>
void Moe<B>::load_balance_loss(const Pass<B>& pass, const Acts& a, const Scratch& s) const {
    const int64_t E = n_.experts;
    Routing& routing = pass.routing[layer_];
    const int64_t* counts = a.tokens_per_expert;
    for (int64_t e = 0; e < E; e++) routing.tokens_per_expert[e] += a.tokens_per_expert[e];
    if (n_.balance == Balance::global_batch) {
        std::copy_n(a.tokens_per_expert, E, s.global_counts);
        pass.mesh->data->all_reduce(s.global_counts, E);
        for (int64_t e = 0; e < E; e++) routing.global_tokens_per_expert[e] += s.global_counts[e];
        counts = routing.global_tokens_per_expert;
    }
    int64_t all = 0;
    for (int64_t e = 0; e < E; e++) all += counts[e];
    const bool balanced = n_.balance == Balance::global_batch || n_.balance == Balance::micro_batch;
    for (int64_t e = 0; e < E; e++) s.balance[e] = balanced ? A(double(E) * double(counts[e]) / double(all)) : A(0);
    const RouterShape shape{pass.tokens(), E, n_.top_k, n_.norm_top_k};
    router_sums<B>(pass.stream, &routing.sums, a.logits, a.probs, a.lse, s.balance, pass.scale, shape);
    // Every rank of the tensor group adds this gradient for the same tokens; together they must count once.
    for (int64_t e = 0; e < E; e++) s.balance[e] *= A(n_.balance_coef * pass.scale / double(coord_.tensor));
}

template <class B>
void Moe<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, Acts& a, const Scratch& s, T* dx, const T* dout,
                      const T* x, Into into) const {
    const int64_t tokens = pass.tokens();
    dispatch(pass, a, s, s.y, dout, hidden_, n_.top_k);
    grouped_linear_backward_weight<B>(pass.stream, dw.down, s.y, a.hidden, outer(a));
    grouped_linear_backward_input<B>(pass.stream, s.dhidden, s.y, w.down, outer(a), Into::overwrite);
    T *dgate = a.gate, *dup = a.up, *drows = s.y;  // in place: nothing reads the old values afterwards
    weighted_swiglu_backward<B>(pass.stream, dgate, dup, s.dweight, s.dhidden, a.gate, a.up, a.weight, rows(a), width_);
    grouped_linear_backward_weight<B>(pass.stream, dw.up, dup, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dup, w.up, inner(a), Into::overwrite);
    grouped_linear_backward_weight<B>(pass.stream, dw.gate, dgate, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dgate, w.gate, inner(a), Into::add);
    const T* dassignments = combine(pass, a, s, drows, hidden_);
    sum_rows_at<B>(pass.stream, dx, dassignments, a.permutation, tokens, n_.top_k, hidden_, into);

    const A* dweight = combine(pass, a, s, s.dweight, 1);
    gather_rows(pass.stream, s.dweights, dweight, a.permutation, tokens * n_.top_k, 1, 1);
    load_balance_loss(pass, a, s);
    router_backward<B>(pass.stream, s.dlogits, s.dweights, a.probs, a.lse, a.topk_ids, a.weights, s.balance,
                       n_.z_coef * pass.scale / double(coord_.tensor), {tokens, n_.experts, n_.top_k, n_.norm_top_k});
    linear_backward_weight<B>(pass.stream, dw.router, s.dlogits, x, tokens, hidden_, n_.experts);
    linear_backward_input<B>(pass.stream, dx, s.dlogits, w.router, tokens, hidden_, n_.experts, Into::add);
}

// ---------------------------------------------------------------- cost
// Pointwise ops: SwiGLU's 9 passes over the width of each picked expert, and 6 over its row, which the tensor group
// does not split. All-to-alls: in forward rows and weights go to the experts, and rows come back; in backward gradients
// of rows go out, and gradients of rows and weights come back.
template <class B>
Cost Moe<B>::cost(const Workload& load) const {
    Cost c;
    Params none;
    params(ParameterCounter(c, coord_, n_.top_k, n_.experts), none, "");
    c.elements = double(n_.top_k) * (9 * double(n_.hidden) / double(coord_.tensor) + 6 * double(hidden_));
    const double assignments = double(load.tokens * n_.top_k), row = load.item * double(hidden_);
    const double counts = double(n_.experts) * kCountBytes;
    c.forward.expert.all_to_all(counts, coord_.expert);
    c.forward.expert.all_to_all(assignments * (2 * row + kSumBytes), coord_.expert);
    c.backward.expert.all_to_all(assignments * (2 * row + kSumBytes), coord_.expert);
    if (n_.balance == Balance::global_batch) c.backward.data.all_reduce(counts, coord_.data);
    return c;
}

#define INSTANTIATE(B) template class Moe<B>;
SLUICE_BACKENDS(INSTANTIATE)
template Moe<PlannedBf16>::Moe(const ModelSpec&, int64_t, const MeshCoord&);

}  // namespace sluice
