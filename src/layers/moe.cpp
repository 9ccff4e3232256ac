#include "layers/moe.h"

#include <numeric>

#include "kernels/memory.h"
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
    sort_by_expert<B>(pass.stream, a.permutation, a.topk_ids, a.tokens_per_expert, tokens * n_.top_k, n_.experts);
    exchange_counts(pass, a);
}

// Every rank of the expert group sends each other rank the number of rows that it has for that rank's experts. Only
// with an expert group does the host wait for the counts, since it tells collectives how many rows to move.
template <class B>
void Moe<B>::exchange_counts(const Pass<B>& pass, Acts& a) const {
    const int64_t P = coord_.expert;
    a.recv_rows.assign(size_t(P), experts_);  // here as counts of the all-to-all: of numbers to and from each rank
    pass.mesh->expert->all_to_all(a.recv_counts, a.recv_rows.data(), a.tokens_per_expert, a.recv_rows.data());
    expert_offsets<B>(pass.stream, a.offsets, a.recv_counts, P, experts_);
    a.rows = pass.tokens() * n_.top_k;
    if (P == 1) return;
    expert_arrivals<B>(pass.stream, a.recv_index, a.recv_counts, P, experts_);
    Memory& memory = memory_of<B>();
    const size_t bytes = size_t(n_.experts) * sizeof(int64_t);
    memory.to_host(pass.stream, a.sent.data(), a.tokens_per_expert, bytes);
    memory.to_host(pass.stream, a.received.data(), a.recv_counts, bytes);
    memory.wait(pass.stream);
    pass.mesh->require();
    a.rows = 0;
    for (int64_t p = 0; p < P; p++) {
        const auto of_rank = [&](const std::vector<int64_t>& counts) {
            return std::accumulate(counts.begin() + p * experts_, counts.begin() + (p + 1) * experts_, int64_t{0});
        };
        a.send_rows[size_t(p)] = of_rank(a.sent);
        a.rows += a.recv_rows[size_t(p)] = of_rank(a.received);
    }
}

template <class B>
template <class X>
void Moe<B>::dispatch(const Pass<B>& pass, const Acts& a, const Scratch& s, X* out, const X* x, int64_t width,
                      int64_t per) const {
    const int64_t rows = pass.tokens() * n_.top_k / per;
    if (coord_.expert == 1) return scatter_rows<B>(pass.stream, out, x, a.permutation, rows, per, width);
    X *send = reinterpret_cast<X*>(s.send), *recv = reinterpret_cast<X*>(s.recv);
    scatter_rows<B>(pass.stream, send, x, a.permutation, rows, per, width);
    exchange_rows(*pass.mesh->expert, recv, a.recv_rows.data(), send, a.send_rows.data(), width);
    gather_rows<B>(pass.stream, out, recv, a.recv_index, a.rows, width);
}

template <class B>
template <class X>
const X* Moe<B>::combine(const Pass<B>& pass, const Acts& a, const Scratch& s, const X* y, int64_t width) const {
    if (coord_.expert == 1) return y;
    X *send = reinterpret_cast<X*>(s.recv), *recv = reinterpret_cast<X*>(s.send);  // the buffers swap their roles
    scatter_rows<B>(pass.stream, send, y, a.recv_index, a.rows, 1, width);
    exchange_rows(*pass.mesh->expert, recv, a.send_rows.data(), send, a.recv_rows.data(), width);
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
    weighted_swiglu_forward<B>(pass.stream, a.hidden, a.gate, a.up, a.weight, a.rows, width_);
    grouped_linear_forward<B>(pass.stream, s.y, a.hidden, w.down, outer(a));
    const T* results = combine(pass, a, s, s.y, hidden_);  // partner: dispatch of dout
    sum_rows_at<B>(pass.stream, out, results, a.permutation, pass.tokens(), n_.top_k, hidden_, into);
}

template <class B>
void Moe<B>::probe(const Pass<B>& pass, const Acts& a, const Scratch& s) const {
    const Routing& routing = pass.routing[layer_];
    add_counts<B>(pass.stream, routing.tokens_per_expert, a.tokens_per_expert, n_.experts);
    zero<B>(pass.stream, s.load, n_.experts);
    router_sums<B>(pass.stream, routing.sums, a.logits, a.probs, a.lse, s.load, 1.0,
                   {pass.tokens(), n_.experts, n_.top_k, n_.norm_top_k});
}

// ---------------------------------------------------------------- backward
// Leaves in s.load (experts) each expert's count over the mean count, of the tokens that this kind of balance counts,
// or 0 where it has no loss. Adds losses and counts to this layer's routing.
template <class B>
void Moe<B>::load_balance_loss(const Pass<B>& pass, const Acts& a, const Scratch& s) const {
    const int64_t E = n_.experts;
    const Routing& routing = pass.routing[layer_];
    add_counts<B>(pass.stream, routing.tokens_per_expert, a.tokens_per_expert, E);
    if (n_.balance == Balance::global_batch) {
        zero<B>(pass.stream, s.global_counts, E);
        add_counts<B>(pass.stream, s.global_counts, a.tokens_per_expert, E);
        pass.mesh->data->all_reduce(s.global_counts, E);
        add_counts<B>(pass.stream, routing.global_tokens_per_expert, s.global_counts, E);
        expert_load<B>(pass.stream, s.load, routing.global_tokens_per_expert, E);
    } else if (n_.balance == Balance::micro_batch) {
        expert_load<B>(pass.stream, s.load, a.tokens_per_expert, E);
    } else {
        zero<B>(pass.stream, s.load, E);
    }
    router_sums<B>(pass.stream, routing.sums, a.logits, a.probs, a.lse, s.load, pass.scale,
                   {pass.tokens(), E, n_.top_k, n_.norm_top_k});
}

template <class B>
void Moe<B>::backward(const Pass<B>& pass, const Params& w, Gradients& dw, Acts& a, const Scratch& s, T* dx,
                      const T* dout, const T* x, Into into) const {
    const int64_t tokens = pass.tokens();
    dispatch(pass, a, s, s.y, dout, hidden_, n_.top_k);
    grouped_linear_backward_weight<B>(pass.stream, dw.down, s.y, a.hidden, outer(a));
    grouped_linear_backward_input<B>(pass.stream, s.dhidden, s.y, w.down, outer(a), Into::overwrite);
    T *dgate = a.gate, *dup = a.up, *drows = s.y;  // in place: nothing reads the old values afterwards
    weighted_swiglu_backward<B>(pass.stream, dgate, dup, s.dweight, s.dhidden, a.gate, a.up, a.weight, a.rows, width_);
    grouped_linear_backward_weight<B>(pass.stream, dw.up, dup, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dup, w.up, inner(a), Into::overwrite);
    grouped_linear_backward_weight<B>(pass.stream, dw.gate, dgate, a.x, inner(a));
    grouped_linear_backward_input<B>(pass.stream, drows, dgate, w.gate, inner(a), Into::add);
    const T* dassignments = combine(pass, a, s, drows, hidden_);
    sum_rows_at<B>(pass.stream, dx, dassignments, a.permutation, tokens, n_.top_k, hidden_, into);

    const A* dweight = combine(pass, a, s, s.dweight, 1);
    gather_rows<B>(pass.stream, s.dweights, dweight, a.permutation, tokens * n_.top_k, 1);
    load_balance_loss(pass, a, s);
    // Every rank of the tensor group adds these gradients for the same tokens; together they must count once.
    const double parts = double(coord_.tensor);
    router_backward<B>(pass.stream, s.dlogits, s.dweights, a.probs, a.lse, a.topk_ids, a.weights, s.load,
                       n_.balance_coef * pass.scale / parts, n_.z_coef * pass.scale / parts,
                       {tokens, n_.experts, n_.top_k, n_.norm_top_k});
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
#define INSTANTIATE_PLAN(B)                                            \
    template Moe<B>::Moe(const ModelSpec&, int64_t, const MeshCoord&); \
    template Cost Moe<B>::cost(const Workload&) const;
SLUICE_PLANNED(INSTANTIATE_PLAN)

}  // namespace sluice
