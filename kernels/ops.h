// Every op, declared once: the whole interface between layers and arithmetic, with those of probes in probes.h. Cpu<T>
// defines the ops in kernels/cpu/; an op that a backend lacks is a link error.
//
// Arguments come in the order stream, outputs, inputs, shape, options. Tensors are dense and row-major; a comment gives
// their shapes in parentheses. Backward overwrites gradients of activations (or adds, where an Into says so) and adds
// to gradients of parameters, here written "+=". An output may alias an input only where the comment says so. Sums are
// kept in B::A, in an order that does not depend on the number of threads. All pointers but `shape` and options lie in
// the backend's memory. Zero rows are nothing: an op then looks at no tensor of rows.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "base/activation.h"
#include "kernels/backend.h"

namespace sluice {

enum class Into { overwrite, add };

// Rows of a matrix that may be part of a wider one: row i begins at data + i * stride. What several linear maps make of
// one x is computed by one product, and its parts stand side by side.
template <class X>
struct Rows {
    X* data;
    int64_t stride;  // in elements

    X* row(int64_t i) const { return data + i * stride; }
    Rows columns(int64_t begin) const { return {data + begin, stride}; }  // from column `begin` on
    template <class Y, class = std::enable_if_t<std::is_same_v<Y, const X>>>
    operator Rows<Y>() const {
        return {data, stride};
    }
};

// Elements offset .. offset + count - 1 of an array. Ops over many tensors take lists of spans.
struct Span {
    int64_t offset, count;
};

// ---------------------------------------------------------------- linear: y = x w^T
// y (rows, out), x (rows, in), w (out, in). Y is T or A: in A the sums are not rounded.
template <class B, class Y>
void linear_forward(Stream, Y* y, const typename B::T* x, const typename B::T* w, int64_t rows, int64_t in,
                    int64_t out);
// dx (rows, in) = or += dy w; dy (rows, out).
template <class B>
void linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w, int64_t rows,
                           int64_t in, int64_t out, Into);
// dw (out, in) += dy^T x.
template <class B>
void linear_backward_weight(Stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x, int64_t rows,
                            int64_t in, int64_t out);
// y (rows, width) += bias (width), in place. db (width) += the sum of dy (rows, width) over rows.
template <class B>
void bias_forward(Stream, Rows<typename B::T> y, const typename B::T* bias, int64_t rows, int64_t width);
template <class B>
void bias_backward(Stream, typename B::G* db, Rows<const typename B::T> dy, int64_t rows, int64_t width);

// ---------------------------------------------------------------- embedding
// The vocabulary may be sharded: table (vocab, width) holds the ids first_id .. first_id + vocab - 1. out (rows, width)
// = the table's row of each token id in tokens (rows), or 0 if the id is not in this shard.
template <class B>
void embedding_forward(Stream, typename B::T* out, const int32_t* tokens, const typename B::T* table, int64_t rows,
                       int64_t width, int64_t first_id, int64_t vocab);
// dtable (vocab, width) += dout (rows, width). order (rows) = the rows sorted by their tokens, those of one token in
// order: so a token's gradients stand in one run, and are added one after another.
template <class B>
void embedding_backward(Stream, typename B::G* dtable, const typename B::T* dout, const int32_t* tokens,
                        const int32_t* order, int64_t rows, int64_t width, int64_t first_id, int64_t vocab);

// ---------------------------------------------------------------- RMSNorm: y = x / sqrt(mean(x^2) + eps) * w
// x, y (rows, width), w (width), rstd (rows). y may be x when no backward follows.
template <class B>
void rmsnorm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* x, const typename B::T* w,
                     int64_t rows, int64_t width, double eps);
// dx, dy (rows, width); dx may be dy with Into::overwrite. dw (width) +=.
template <class B>
void rmsnorm_backward(Stream, typename B::T* dx, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                      const typename B::T* w, const typename B::A* rstd, int64_t rows, int64_t width, Into);

// residual_forward and rmsnorm_forward fused, with the bits of the two: out = x + clamp(y), normed = its norm. out,
// normed, x, y (rows, width); out may be x.
template <class B>
void residual_rmsnorm_forward(Stream, typename B::T* out, typename B::T* normed, typename B::A* rstd,
                              const typename B::T* x, const typename B::T* y, const typename B::T* w, int64_t rows,
                              int64_t width, double eps, double clip);

// ---------------------------------------------------------------- RoPE, rotating halves
struct RopeShape {
    int64_t sequences, length, heads, dim;
};
// Of a token the heads stand side by side, (heads, dim), and tokens are rows. x in place: (x1, x2) -> (x1 cos - x2 sin,
// x2 cos + x1 sin), x1 = x[0:dim/2]. cos, sin (length, dim / 2). direction 1 is forward; -1 is backward: the inverse
// rotation (a scale within cos and sin stays).
template <class B>
void rope(Stream, Rows<typename B::T> x, const typename B::A* cos, const typename B::A* sin, const RopeShape&,
          int direction);
// RMSNorm of each head, then rope, fused. y (sequences, length, heads, dim), w (dim), rstd (sequences, length, heads).
// In backward dx may be dy; dw (dim) +=.
template <class B>
void rmsnorm_rope_forward(Stream, typename B::T* y, typename B::A* rstd, Rows<const typename B::T> x,
                          const typename B::T* w, const typename B::A* cos, const typename B::A* sin, const RopeShape&,
                          double eps);
template <class B>
void rmsnorm_rope_backward(Stream, Rows<typename B::T> dx, typename B::G* dw, Rows<const typename B::T> dy,
                           Rows<const typename B::T> x, const typename B::T* w, const typename B::A* rstd,
                           const typename B::A* cos, const typename B::A* sin, const RopeShape&);

// ---------------------------------------------------------------- causal attention, grouped queries
struct AttentionShape {
    int64_t sequences, length, heads, kv_heads, dim;
    int64_t window;  // keys that a query sees, its own token's included; 0: all before
    double scale;    // of q k
    bool operator==(const AttentionShape&) const = default;
};
// Tokens are rows: of a token q has (heads, dim), k and v have (kv_heads, dim). out (sequences, length, heads, dim);
// lse (sequences, heads, length) = log-sum-exp of each query's scaled scores. Query head h uses kv head h / (heads /
// kv_heads). The query of token t sees the keys of tokens max(doc_start[t], t - window + 1) .. t of its own sequence;
// doc_start (sequences, length) = where the document of each token begins, null: all are one document. Tiled: nothing
// of size length^2 is kept.
template <class B>
void attention_forward(Stream, typename B::T* out, typename B::A* lse, Rows<const typename B::T> q,
                       Rows<const typename B::T> k, Rows<const typename B::T> v, const int32_t* doc_start,
                       const AttentionShape&);
// dq, dk, dv, rows as q, k, v, are overwritten. delta (sequences, heads, length) is scratch, for the sum over dim of
// dout out; so is workspace, attention_workspace<B>() bytes, for a library. Null: none is used.
template <class B>
void attention_backward(Stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                        typename B::A* delta, std::byte* workspace, const typename B::T* dout, const typename B::T* out,
                        const typename B::A* lse, Rows<const typename B::T> q, Rows<const typename B::T> k,
                        Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape&);
// A library's plans take long to make: those for attention of this shape and these strides, without documents, are made
// here, and belong to the stream. Without plans the two ops above use kernels of our own, as they do for any other
// shape. Returns which it is, and why: "cuDNN 9.19 (engine 2 forward, 6 backward)", "own: length is no multiple of
// 128"; empty where a backend has one attention. Errors are a warning, and own kernels.
struct AttentionStrides {
    int64_t q, k, v;                 // from a row to the next, in elements
    int64_t dq = 0, dk = 0, dv = 0;  // of backward; 0: there is none
    bool operator==(const AttentionStrides&) const = default;
};
template <class B>
std::string prepare_attention(Stream, const AttentionShape&, const AttentionStrides&);

// ---------------------------------------------------------------- ReLU attention
// As attention_forward, with relu(scale q k) in place of softmax, and no row sum. A query with no score above 0 gets 0.
template <class B>
void relu_attention_forward(Stream, typename B::T* out, Rows<const typename B::T> q, Rows<const typename B::T> k,
                            Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape&);
// dq, dk, dv are overwritten.
template <class B>
void relu_attention_backward(Stream, Rows<typename B::T> dq, Rows<typename B::T> dk, Rows<typename B::T> dv,
                             const typename B::T* dout, Rows<const typename B::T> q, Rows<const typename B::T> k,
                             Rows<const typename B::T> v, const int32_t* doc_start, const AttentionShape&);

// ---------------------------------------------------------------- ReLA's norm: y = w z rstd (times sigmoid(u z))
// y, z (rows, width), w, u (width), rstd (rows) = 1 / sqrt(mean(z^2) + eps), the mean over all heads' channels of a
// token. Heads may be cut over a tensor group: here are `width` of `whole_width` channels, and the caller sums
// `squares` and `dots` over the group. u null: no gate. squares (rows) = sum of z^2 over the channels here.
template <class B>
void sum_of_squares_by_row(Stream, typename B::A* squares, const typename B::T* z, int64_t rows, int64_t width);
// squares (rows) is of the whole width; rstd may be squares. y may be z when no backward follows.
template <class B>
void rela_norm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* z,
                       const typename B::A* squares, const typename B::T* w, const typename B::T* u, int64_t rows,
                       int64_t width, int64_t whole_width, double eps);
// dots (rows) = sum of g z over the channels here, g = dy w sigmoid(u z): what backward needs of a whole row.
template <class B>
void rela_norm_dots(Stream, typename B::A* dots, const typename B::T* dy, const typename B::T* z,
                    const typename B::T* w, const typename B::T* u, int64_t rows, int64_t width);
// dots (rows) is of the whole width. dz may be dy. dw, du (width) +=; u and du are null together.
template <class B>
void rela_norm_backward(Stream, typename B::T* dz, typename B::G* dw, typename B::G* du, const typename B::T* dy,
                        const typename B::T* z, const typename B::T* w, const typename B::T* u,
                        const typename B::A* rstd, const typename B::A* dots, int64_t rows, int64_t width,
                        int64_t whole_width);

// ---------------------------------------------------------------- gates: y' = y * g or y + g, g = scale act(s)
// y (rows, heads, channels). The score of an element is s[row * stride.row + head * stride.head + channel *
// stride.channel]: a stride of 0 broadcasts. Granularity, sharing by heads and constant scores are strides, no more.
struct GateShape {
    int64_t rows, heads, channels;
    struct {
        int64_t row, head, channel;
    } stride;
    int64_t score_rows() const { return stride.row ? rows : 1; }
    int64_t score_heads() const { return stride.head ? heads : 1; }
    int64_t score_channels() const { return stride.channel ? channels : 1; }
    int64_t scores() const { return score_rows() * score_heads() * score_channels(); }
};
// out (rows, heads, channels); a row of y is (heads, channels).
template <class B>
void gate_forward(Stream, typename B::T* out, Rows<const typename B::T> y, const typename B::T* s, const GateShape&,
                  Factor, Combine);
// Rows of dy, dout and y are (heads, channels); dy may be dout. ds, with the strides of s, = or += the sum over all
// elements that share a score; ds may be s if neither stride.row nor stride.head is 0. D is T, or G where s is a
// parameter.
template <class B, class D>
void gate_backward(Stream, Rows<typename B::T> dy, D* ds, Rows<const typename B::T> dout, Rows<const typename B::T> y,
                   const typename B::T* s, const GateShape&, Factor, Combine, Into ds_into);
// mean (rows, channels) = the sum over heads of s, whose rows are (heads, channels), divided by `of`; in backward ds =
// dmean / of for every head. `of` counts the heads of all ranks that share the mean.
template <class B>
void head_mean_forward(Stream, typename B::T* mean, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                       int64_t channels, int64_t of);
template <class B>
void head_mean_backward(Stream, Rows<typename B::T> ds, const typename B::T* dmean, int64_t rows, int64_t heads,
                        int64_t channels, int64_t of);

// ---------------------------------------------------------------- Switch Heads
// out (rows, heads, dim) = for each row and head, the sum over its top_k experts e of sigmoid(s_e) y_e. A row of y is
// (heads, experts, dim), one of s (heads, experts) = router scores before the sigmoid. The top_k have the largest s; of
// equal ones the lower index wins. Backward finds them again from s.
template <class B>
void switch_forward(Stream, typename B::T* out, Rows<const typename B::T> y, Rows<const typename B::T> s, int64_t rows,
                    int64_t heads, int64_t experts, int64_t dim, int64_t top_k);
// dy, ds are overwritten, with 0 for experts that are not among the top_k.
template <class B>
void switch_backward(Stream, Rows<typename B::T> dy, Rows<typename B::T> ds, const typename B::T* dout,
                     Rows<const typename B::T> y, Rows<const typename B::T> s, int64_t rows, int64_t heads,
                     int64_t experts, int64_t dim, int64_t top_k);

// ---------------------------------------------------------------- mixture of experts
// Router: softmax over the experts, and the top_k experts of each token. An "assignment" is a pair (token, one of its
// top_k experts), numbered row * top_k + j.
struct RouterShape {
    int64_t rows, experts, top_k;
    bool normalise;  // divide a token's top_k weights by their sum
};
// logits (rows, experts). probs (rows, experts) = softmax(logits), lse (rows) = log-sum-exp of logits. topk_ids (rows,
// top_k) = the experts with the largest probs + bias, largest first; of equal ones the lower index wins. bias (experts)
// chooses only; null: none. weights (rows, top_k) = probs of topk_ids. tokens_per_expert (experts) = how often each
// expert stands in topk_ids.
template <class B>
void router_forward(Stream, typename B::A* probs, typename B::A* lse, int32_t* topk_ids, typename B::A* weights,
                    int64_t* tokens_per_expert, const typename B::A* logits, const typename B::A* bias,
                    const RouterShape&);
// dlogits (rows, experts) = gradient of sum(dweights weights) + balance sum over tokens of (sum over experts of load
// probs) + z sum over tokens of lse^2. dweights (rows, top_k), load (experts).
template <class B>
void router_backward(Stream, typename B::T* dlogits, const typename B::A* dweights, const typename B::A* probs,
                     const typename B::A* lse, const int32_t* topk_ids, const typename B::A* weights,
                     const typename B::A* load, double balance, double z, const RouterShape&);
struct RouterSums {
    double balance = 0, z = 0, entropy = 0;
};
// Adds to *sums, times scale, the sums over tokens of: the sum over experts of load probs; lse^2; the entropy of probs,
// in nats. load (experts).
template <class B>
void router_sums(Stream, RouterSums* sums, const typename B::A* logits, const typename B::A* probs,
                 const typename B::A* lse, const typename B::A* load, double scale, const RouterShape&);
// total (experts) += counts (experts).
template <class B>
void add_counts(Stream, int64_t* total, const int64_t* counts, int64_t experts);
// load (experts) = counts (experts) over their mean; not a number where all are 0.
template <class B>
void expert_load(Stream, typename B::A* load, const int64_t* counts, int64_t experts);
// bias (experts) += rate for experts with fewer counts (experts) than the mean, -= rate for those with more.
template <class B>
void move_router_bias(Stream, typename B::A* bias, const int64_t* counts, int64_t experts, double rate);
// A stable sort of the assignments by expert. permutation (count) = the sorted position of each assignment, below 2^31.
// topk_ids (count) and tokens_per_expert (experts) are router_forward's.
template <class B>
void sort_by_expert(Stream, int32_t* permutation, const int32_t* topk_ids, const int64_t* tokens_per_expert,
                    int64_t count, int64_t experts);
// Every rank p of `ranks` sends counts[p, e] rows for expert e of this rank; counts (ranks, experts). They are received
// in order (p, e) and used in order (e, p):
//
//     received   p0e0 p0e0 p0e1 | p1e0 p1e1 p1e1      index     0 1 3 | 2 4 5
//     used       p0e0 p0e0 p1e0 | p0e1 p1e1 p1e1      offsets   0 3 6
//
// offsets (experts + 1) = the first row of each expert as used; index (rows) = the place at which each used row was
// received.
template <class B>
void expert_offsets(Stream, int64_t* offsets, const int64_t* counts, int64_t ranks, int64_t experts);
template <class B>
void expert_arrivals(Stream, int32_t* index, const int64_t* counts, int64_t ranks, int64_t experts);
// out[i] = x[index[i]]. out (count, width), index (count). X is T or A.
template <class B, class X>
void gather_rows(Stream, X* out, const X* x, const int32_t* index, int64_t count, int64_t width);
// Permute: out[index[i * per + j]] = x[i] for all j < per. x (rows, width), index (rows, per). With the permutation of
// sort_by_expert as index and per = top_k, x are tokens, and out their copies sorted by expert.
template <class B, class X>
void scatter_rows(Stream, X* out, const X* x, const int32_t* index, int64_t rows, int64_t per, int64_t width);
// Unpermute: out (rows, width) = or += the sum over j < per of x[index[row * per + j]], index (rows, per). With the
// permutation of sort_by_expert as index and per = top_k, a token gets the sum of its experts' rows.
template <class B>
void sum_rows_at(Stream, typename B::T* out, const typename B::T* x, const int32_t* index, int64_t rows, int64_t per,
                 int64_t width, Into);
// Linear maps of groups of unequal length: rows offsets[e] .. offsets[e + 1] - 1 of x (rows, in) and y (rows, out) are
// expert e's, whose matrix is w[e] of w (experts, out, in). Gradients as for linear.
struct GroupedShape {
    const int64_t* offsets;  // (experts + 1): 0 .. rows
    int64_t rows;            // of all experts
    int64_t experts, in, out;
};
template <class B>
void grouped_linear_forward(Stream, typename B::T* y, const typename B::T* x, const typename B::T* w,
                            const GroupedShape&);
template <class B>
void grouped_linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                                   const GroupedShape&, Into);
template <class B>
void grouped_linear_backward_weight(Stream, typename B::G* dw, const typename B::T* dy, const typename B::T* x,
                                    const GroupedShape&);
// h (rows, width) = weight silu(gate) up; gate, up (rows, width), weight (rows). In backward dh, dgate, dup (rows,
// width), dweight (rows) are overwritten; dgate may be gate and dup may be up.
template <class B>
void weighted_swiglu_forward(Stream, typename B::T* h, const typename B::T* gate, const typename B::T* up,
                             const typename B::A* weight, int64_t rows, int64_t width);
template <class B>
void weighted_swiglu_backward(Stream, typename B::T* dgate, typename B::T* dup, typename B::A* dweight,
                              const typename B::T* dh, const typename B::T* gate, const typename B::T* up,
                              const typename B::A* weight, int64_t rows, int64_t width);

// ---------------------------------------------------------------- pointwise
// All tensors are (count). y = act(x); y may be x when no backward follows. dx = dy act'(x); dx may be dy.
template <class B>
void activation_forward(Stream, typename B::T* y, const typename B::T* x, int64_t count, Activation);
template <class B>
void activation_backward(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* x, int64_t count,
                         Activation);
// h (rows, width) = silu(gate) up, where gate and up are the halves of gate_up (rows, 2 width). dgate_up (rows, 2
// width) may be gate_up.
template <class B>
void swiglu_forward(Stream, typename B::T* h, const typename B::T* gate_up, int64_t rows, int64_t width);
template <class B>
void swiglu_backward(Stream, typename B::T* dgate_up, const typename B::T* dh, const typename B::T* gate_up,
                     int64_t rows, int64_t width);
// out = x + clamp(y, -clip, clip); clip 0: no clamp; out may be x. dy = dout if |y| < clip or y is NaN, else 0; dy may
// be dout.
template <class B>
void residual_forward(Stream, typename B::T* out, const typename B::T* x, const typename B::T* y, int64_t count,
                      double clip);
template <class B>
void residual_backward(Stream, typename B::T* dy, const typename B::T* dout, const typename B::T* y, int64_t count,
                       double clip);
template <class B>
void add(Stream, typename B::T* x, const typename B::T* y, int64_t count);  // x += y

// ---------------------------------------------------------------- loss
// Cross-entropy in three steps, since logits may be sharded over the vocabulary: here are logits (rows, vocab) of the
// ids first_id .. first_id + vocab - 1. targets (rows) are ids of the whole vocabulary; below 0: no target.
//
// First, of each row, stats (rows, 3): the largest logit; the sum of exp(logit - largest); the target's logit, or 0 if
// its id is not in this shard. saved (rows, vocab) = what backward of the same backend reads: the logits, or their
// exponentials. May alias logits; null to skip.
template <class B>
void cross_entropy_stats(Stream, typename B::A* stats, typename B::T* saved, const typename B::T* logits,
                         const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab);
// Then, from the stats of all shards (parts, rows, 3): lse (rows) = log-sum-exp of the whole row's logits, losses
// (rows) = lse - the target's logit, or 0 without a target.
template <class B>
void cross_entropy_join(Stream, typename B::A* losses, typename B::A* lse, const typename B::A* stats,
                        const int32_t* targets, int64_t rows, int64_t parts);
// Backward, in place: dlogits (rows, vocab) holds what was saved, and becomes scale (softmax - onehot(target)), or 0
// without a target. stats are this shard's, lse is of the whole row.
template <class B>
void cross_entropy_backward(Stream, typename B::T* dlogits, const typename B::A* stats, const typename B::A* lse,
                            const int32_t* targets, int64_t rows, int64_t first_id, int64_t vocab, double scale);

// *total += the sum of losses (rows), kept in double, in an order that depends on rows alone.
template <class B>
void sum_of_losses(Stream, double* total, const typename B::A* losses, int64_t rows);

// ---------------------------------------------------------------- optimizer
// *total += the sum of x^2 over `spans` (count) of x, kept in double in a fixed order.
template <class B>
void sum_of_squares(Stream, double* total, const typename B::G* x, const Span* spans, int64_t count);

// Weights are rounded from masters, which are B::A. Where T is A, weights are their own masters, and `master` is null.
// w (count) = master (count), rounded to nearest even.
template <class B>
void round_weights(Stream, typename B::T* w, const typename B::A* master, int64_t count);

struct AdamW {
    double lr, beta1, beta2, eps, weight_decay;
    double gradient_scale;            // what g is multiplied by first: the factor of the gradient clip
    double correction1, correction2;  // 1 - beta^t
};
// `count` elements that are updated alike: their offsets in the arrays of weights, of gradients, and of masters and
// moments; and whether weight decay applies.
struct AdamWSpan {
    int64_t weights, gradients, state, count;
    bool decays;
};
// Of every span: m = beta1 m + (1 - beta1) g; v likewise of g^2; w -= lr (m / correction1 / (sqrt(v / correction2) +
// eps) + weight_decay w). spans (count).
template <class B>
void adamw(Stream, typename B::T* w, typename B::A* master, typename B::A* m, typename B::A* v, const typename B::G* g,
           const AdamWSpan* spans, int64_t count, const AdamW&);

// ---------------------------------------------------------------- Muon
// b = momentum b + gradient_scale g; u = gradient_scale g + momentum b (Nesterov's look ahead). All (count).
template <class B>
void muon_momentum(Stream, typename B::T* u, typename B::A* b, const typename B::G* g, int64_t count, double momentum,
                   double gradient_scale);
// x (rows, columns), in place, becomes nearly orthogonal: divided by its norm, then five Newton-Schulz steps, which
// take its singular values to around 1. scratch (orthogonalize_scratch(rows, columns)).
template <class B>
void orthogonalize(Stream, typename B::T* x, int64_t rows, int64_t columns, typename B::T* scratch);
inline int64_t orthogonalize_scratch(int64_t rows, int64_t columns) {
    const int64_t n = std::min(rows, columns);
    return rows * columns + 2 * n * n;
}
// w (rows, width) -= lr (scale x + weight_decay w). master (rows, width), or null.
template <class B>
void muon_update(Stream, typename B::T* w, typename B::A* master, Rows<const typename B::T> x, int64_t rows,
                 int64_t width, double lr, double scale, double weight_decay);
// y = or += x (rows, width).
template <class B>
void copy_rows(Stream, Rows<typename B::T> y, Rows<const typename B::T> x, int64_t rows, int64_t width, Into);

}  // namespace sluice
