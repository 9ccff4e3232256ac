#include "layers/experts.h"

#include <algorithm>

#include "parallel/rows.h"

namespace sluice {

template <class B>
Experts<B>::Experts(const ModelSpec& model, int64_t layer, const Place& place)
    : n_(model.moe),
      layer_(layer),
      hidden_(model.hidden),
      place_(place),
      experts_(model.moe.experts / place.expert),
      width_(model.moe.hidden / place.tensor),
      init_std_(model.init_std),
      down_init_(residual_init(model)) {}

// ---------------------------------------------------------------- who goes where
template <class B>
void Experts<B>::route(const Pass<B>& pass, const Params& w, Acts& a, const T* x) const {
    const int64_t tokens = pass.tokens();
    linear_forward<B>(pass.stream, a.logits, x, w.router, tokens, hidden_, n_.experts);
    router_forward<B>(pass.stream, a.probs, a.lse, a.picks, a.weights, a.counts, a.logits, w.bias,
                      {tokens, n_.experts, n_.top_k, n_.norm_top_k});
    sort_by_expert(pass.stream, a.slots, a.origins, a.picks, a.counts, tokens * n_.top_k, n_.experts);
    count_arrivals(pass, a);
}

// Every rank tells the others how many rows it has for each of their experts. Rows arrive by rank, then expert; they
// are used by expert, then rank.
template <class B>
void Experts<B>::count_arrivals(const Pass<B>& pass, Acts& a) const {
    const int64_t P = place_.expert;
    std::fill_n(a.arrived_rows, P, experts_);
    pass.mesh->expert->all_to_all(a.arrived, a.arrived_rows, a.counts, a.arrived_rows);
    a.offsets[0] = 0;
    for (int64_t e = 0; e < experts_; e++) {
        a.offsets[e + 1] = a.offsets[e];
        for (int64_t p = 0; p < P; p++) a.offsets[e + 1] += a.arrived[p * experts_ + e];
    }
    for (int64_t p = 0; p < P; p++) {
        a.sent_rows[p] = a.arrived_rows[p] = 0;
        for (int64_t e = 0; e < experts_; e++) {
            a.sent_rows[p] += a.counts[p * experts_ + e];
            a.arrived_rows[p] += a.arrived[p * experts_ + e];
        }
    }
    if (P == 1) return;
    for (int64_t e = 0, at = 0; e < experts_; e++)
        for (int64_t p = 0, begin = 0; p < P; begin += a.arrived_rows[p++]) {
            int64_t from = begin;
            for (int64_t i = 0; i < e; i++) from += a.arrived[p * experts_ + i];
            for (int64_t i = 0; i < a.arrived[p * experts_ + e]; i++) a.arrival[at++] = int32_t(from + i);
        }
}

template <class B>
template <class X>
void Experts<B>::send(const Pass<B>& pass, const Acts& a, const Scratch& s, X* out, const X* x, int64_t width,
                      int64_t per) const {
    const int64_t picks = pass.tokens() * n_.top_k;
    if (place_.expert == 1) return gather_rows(pass.stream, out, x, a.origins, picks, width, per);
    X *sent = reinterpret_cast<X*>(s.sent), *arrived = reinterpret_cast<X*>(s.arrived);
    gather_rows(pass.stream, sent, x, a.origins, picks, width, per);
    exchange_rows(*pass.mesh->expert, arrived, a.arrived_rows, sent, a.sent_rows, width);
    gather_rows(pass.stream, out, arrived, a.arrival, rows(a), width, 1);
}

template <class B>
template <class X>
const X* Experts<B>::send_back(const Pass<B>& pass, const Acts& a, const Scratch& s, const X* y, int64_t width) const {
    if (place_.expert == 1) return y;
    X *sent = reinterpret_cast<X*>(s.sent), *arrived = reinterpret_cast<X*>(s.arrived);
    scatter_rows(pass.stream, arrived, y, a.arrival, rows(a), width);
    exchange_rows(*pass.mesh->expert, sent, a.sent_rows, arrived, a.arrived_rows, width);
    return sent;
}

// ---------------------------------------------------------------- forward
template <class B>
void Experts<B>::forward(const Pass<B>& pass, const Params& w, Acts& a, const Scratch& s, T* out, const T* x,
                         Into into) const {
    route(pass, w, a, x);
    send(pass, a, s, a.x, x, hidden_, n_.top_k);  // partner: send_back of dx
    send(pass, a, s, a.weight, a.weights, 1, 1);  // partner: send_back of dweight
    grouped_linear_forward<B>(pass.stream, a.gate, a.x, w.gate, inner(a));
    grouped_linear_forward<B>(pass.stream, a.up, a.x, w.up, inner(a));
    weighted_swiglu_forward<B>(pass.stream, a.product, a.gate, a.up, a.weight, rows(a), width_);
    grouped_linear_forward<B>(pass.stream, s.y, a.product, w.down, outer(a));
    const T* results = send_back(pass, a, s, s.y, hidden_);  // partner: send of dout
    sum_rows_at<B>(pass.stream, out, results, a.slots, pass.tokens(), n_.top_k, hidden_, into);
}

// ---------------------------------------------------------------- backward
// Leaves in s.balance the slope of the balance loss with respect to each expert's probability of one token.
template <class B>
void Experts<B>::balance(const Pass<B>& pass, const Acts& a, const Scratch& s) const {
    const int64_t E = n_.experts;
    Routing& routing = pass.routing[layer_];
    const int64_t* counts = a.counts;
    for (int64_t e = 0; e < E; e++) routing.picks[e] += a.counts[e];
    if (n_.balance == Balance::global_batch) {
        std::copy_n(a.counts, E, s.picks);
        pass.mesh->data->all_reduce(s.picks, E);
        for (int64_t e = 0; e < E; e++) routing.seen[e] += s.picks[e];
        counts = routing.seen;
    }
    int64_t all = 0;
    for (int64_t e = 0; e < E; e++) all += counts[e];
    const bool balanced = n_.balance == Balance::global_batch || n_.balance == Balance::micro_batch;
    for (int64_t e = 0; e < E; e++) s.balance[e] = balanced ? A(double(E) * double(counts[e]) / double(all)) : A(0);
    const RouterShape shape{pass.tokens(), E, n_.top_k, n_.norm_top_k};
    router_sums<B>(pass.stream, &routing.sums, a.logits, a.probs, a.lse, s.balance, pass.scale, shape);
    // Every rank of the tensor group holds these tokens; together they count once.
    for (int64_t e = 0; e < E; e++) s.balance[e] *= A(n_.balance_coef * pass.scale / double(place_.tensor));
}

template <class B>
void Experts<B>::backward(const Pass<B>& pass, const Params& w, Params& dw, Acts& a, const Scratch& s, T* dx,
                          const T* dout, const T* x, Into into) const {
    const int64_t tokens = pass.tokens();
    send(pass, a, s, s.y, dout, hidden_, n_.top_k);
    grouped_linear_backward_weight<B>(pass.stream, dw.down, s.y, a.product, outer(a));
    grouped_linear_backward_input<B>(pass.stream, s.dproduct, s.y, w.down, outer(a), Into::overwrite);
    T *dgate = a.gate, *dup = a.up, *drows = s.y;  // in place: nothing reads them again
    weighted_swiglu_backward<B>(pass.stream, dgate, dup, s.dweight, s.dproduct, a.gate, a.up, a.weight, rows(a),
                                width_);
    grouped_linear_backward_weight<B>(pass.stream, dw.up, dup, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dup, w.up, inner(a), Into::overwrite);
    grouped_linear_backward_weight<B>(pass.stream, dw.gate, dgate, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dgate, w.gate, inner(a), Into::add);
    const T* dpicks = send_back(pass, a, s, drows, hidden_);
    sum_rows_at<B>(pass.stream, dx, dpicks, a.slots, tokens, n_.top_k, hidden_, into);

    const A* dweight = send_back(pass, a, s, s.dweight, 1);
    gather_rows(pass.stream, s.dweights, dweight, a.slots, tokens * n_.top_k, 1, 1);
    balance(pass, a, s);
    router_backward<B>(pass.stream, s.dlogits, s.dweights, a.probs, a.lse, a.picks, a.weights, s.balance,
                       n_.z_coef * pass.scale / double(place_.tensor), {tokens, n_.experts, n_.top_k, n_.norm_top_k});
    linear_backward_weight<B>(pass.stream, dw.router, s.dlogits, x, tokens, hidden_, n_.experts);
    linear_backward_input<B>(pass.stream, dx, s.dlogits, w.router, tokens, hidden_, n_.experts, Into::add);
}

// ---------------------------------------------------------------- cost
// SwiGLU's passes over the widths of the picked experts, and 6 over their rows, which the tensor group does not cut.
// Rows and weights go out and rows come back; then gradients go out, and those of rows and weights come back.
template <class B>
Cost Experts<B>::cost(const Workload& load) const {
    Cost c;
    Params none;
    params(ParameterCounter(c, place_, n_.top_k, n_.experts), none, "");
    c.elements = double(n_.top_k) * (9 * double(n_.hidden) / double(place_.tensor) + 6 * double(hidden_));
    const double picks = double(load.tokens * n_.top_k), row = load.item * double(hidden_);
    const double counts = double(n_.experts) * kCountBytes;
    c.forward.expert.all_to_all(counts, place_.expert);
    c.forward.expert.all_to_all(picks * (2 * row + kSumBytes), place_.expert);
    c.backward.expert.all_to_all(picks * (2 * row + kSumBytes), place_.expert);
    if (n_.balance == Balance::global_batch) c.backward.data.all_reduce(counts, place_.data);
    return c;
}

#define INSTANTIATE(B) template class Experts<B>;
SLUICE_BACKENDS(INSTANTIATE)
template Experts<PlannedBf16>::Experts(const ModelSpec&, int64_t, const Place&);

}  // namespace sluice
