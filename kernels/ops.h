// Every op, once: the whole interface between arithmetic and layers. Cpu<T> defines them in kernels/cpu/; an op that a
// backend lacks is a link error.
//
// Order of arguments: stream, outputs, inputs, shape, options. Tensors are dense and row-major.
// Backward overwrites gradients of activations (unless told to add: Into) and adds to gradients of parameters.
// Outputs may alias inputs only where said. Sums are kept in B::A, in an order that does not depend on threads.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/activation.h"
#include "kernels/backend.h"

namespace sluice {

enum class Into { overwrite, add };

// ---------------------------------------------------------------- linear: y = x w^T
// y (rows, out), x (rows, in), w (out, in).
template <class B>
void linear_forward(Stream, typename B::T* y, const typename B::T* x, const typename B::T* w, int64_t rows, int64_t in,
                    int64_t out);
// dx (rows, in) = or += dy w.
template <class B>
void linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w, int64_t rows,
                           int64_t in, int64_t out, Into);
// dw (out, in) += dy^T x.
template <class B>
void linear_backward_weight(Stream, typename B::T* dw, const typename B::T* dy, const typename B::T* x, int64_t rows,
                            int64_t in, int64_t out);
// y (rows, width) += bias (width), in place; and db += column sums of dy.
template <class B>
void bias_forward(Stream, typename B::T* y, const typename B::T* bias, int64_t rows, int64_t width);
template <class B>
void bias_backward(Stream, typename B::T* db, const typename B::T* dy, int64_t rows, int64_t width);

// ---------------------------------------------------------------- embedding
// out (rows, width) = table[tokens - first] where that is within table (vocab, width), else 0: a vocabulary may be cut.
template <class B>
void embedding_forward(Stream, typename B::T* out, const int32_t* tokens, const typename B::T* table, int64_t rows,
                       int64_t width, int64_t first, int64_t vocab);
// dtable (vocab, width) += dout, in order of rows.
template <class B>
void embedding_backward(Stream, typename B::T* dtable, const typename B::T* dout, const int32_t* tokens, int64_t rows,
                        int64_t width, int64_t first, int64_t vocab);

// ---------------------------------------------------------------- RMSNorm: y = x / sqrt(mean(x^2) + eps) * w
// x, y (rows, width), w (width), rstd (rows). y may be x when no backward follows.
template <class B>
void rmsnorm_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* x, const typename B::T* w,
                     int64_t rows, int64_t width, double eps);
// dx may be dy (with Into::overwrite). dw +=.
template <class B>
void rmsnorm_backward(Stream, typename B::T* dx, typename B::T* dw, const typename B::T* dy, const typename B::T* x,
                      const typename B::T* w, const typename B::A* rstd, int64_t rows, int64_t width, Into);

// out = x + clamp(y), as residual_forward, and its norm; out may be x. The bits of the two ops one after the other.
template <class B>
void residual_rmsnorm_forward(Stream, typename B::T* out, typename B::T* normed, typename B::A* rstd,
                              const typename B::T* x, const typename B::T* y, const typename B::T* w, int64_t rows,
                              int64_t width, double eps, double clip);

// ---------------------------------------------------------------- RoPE, rotating halves
struct RopeShape {
    int64_t sequences, length, heads, dim;
};
// x (sequences, length, heads, dim) in place: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), x1 = x[0:dim/2]. cos, sin
// (length, dim / 2). Backward is the inverse rotation times the same scale: pass direction -1.
template <class B>
void rope(Stream, typename B::T* x, const typename B::A* cos, const typename B::A* sin, const RopeShape&,
          int direction);
// RMSNorm of each head, then rope; and back. dx may be dy. dw (dim) +=.
template <class B>
void rmsnorm_rope_forward(Stream, typename B::T* y, typename B::A* rstd, const typename B::T* x, const typename B::T* w,
                          const typename B::A* cos, const typename B::A* sin, const RopeShape&, double eps);
template <class B>
void rmsnorm_rope_backward(Stream, typename B::T* dx, typename B::T* dw, const typename B::T* dy,
                           const typename B::T* x, const typename B::T* w, const typename B::A* rstd,
                           const typename B::A* cos, const typename B::A* sin, const RopeShape&);

// ---------------------------------------------------------------- causal attention, grouped queries
struct AttentionShape {
    int64_t sequences, length, heads, kv_heads, dim;
    int64_t window;  // tokens seen, itself included; 0: all before
    double scale;
};
// q, out (sequences, length, heads, dim); k, v (sequences, length, kv_heads, dim); lse (sequences, heads, length), the
// log-sum-exp of each row's scaled scores. Token t sees tokens max(first[t], t - window + 1) .. t of its own sequence;
// first (sequences, length) is where t's document begins, or null. Blockwise: nothing of size length^2 is kept.
template <class B>
void attention_forward(Stream, typename B::T* out, typename B::A* lse, const typename B::T* q, const typename B::T* k,
                       const typename B::T* v, const int32_t* first, const AttentionShape&);
// dq, dk, dv are overwritten. delta (sequences, heads, length) is scratch: rowsum(dout out).
template <class B>
void attention_backward(Stream, typename B::T* dq, typename B::T* dk, typename B::T* dv, typename B::A* delta,
                        const typename B::T* dout, const typename B::T* out, const typename B::A* lse,
                        const typename B::T* q, const typename B::T* k, const typename B::T* v, const int32_t* first,
                        const AttentionShape&);

// ---------------------------------------------------------------- ReLU attention
// As attention_forward, with relu(scale q k) in place of softmax, and no row sum. A query with no score above 0 gets 0.
template <class B>
void relu_attention_forward(Stream, typename B::T* out, const typename B::T* q, const typename B::T* k,
                            const typename B::T* v, const int32_t* first, const AttentionShape&);
// dq, dk, dv are overwritten.
template <class B>
void relu_attention_backward(Stream, typename B::T* dq, typename B::T* dk, typename B::T* dv, const typename B::T* dout,
                             const typename B::T* q, const typename B::T* k, const typename B::T* v,
                             const int32_t* first, const AttentionShape&);

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
void rela_norm_backward(Stream, typename B::T* dz, typename B::T* dw, typename B::T* du, const typename B::T* dy,
                        const typename B::T* z, const typename B::T* w, const typename B::T* u,
                        const typename B::A* rstd, const typename B::A* dots, int64_t rows, int64_t width,
                        int64_t whole_width);

// ---------------------------------------------------------------- gates: y' = y * act(s) or y + act(s)
// y is (rows, heads, channels). A score is read at row * stride.row + head * stride.head + channel * stride.channel: a
// stride of 0 broadcasts, and that is all that granularity, head sharing and constant scores are.
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
// out may be y when no backward follows.
template <class B>
void gate_forward(Stream, typename B::T* out, const typename B::T* y, const typename B::T* s, const GateShape&,
                  Activation, Combine);
// dy may be dout. ds gets (or adds) the sum over whatever s was broadcast to; it may be s where rows and heads have
// scores of their own.
template <class B>
void gate_backward(Stream, typename B::T* dy, typename B::T* ds, const typename B::T* dout, const typename B::T* y,
                   const typename B::T* s, const GateShape&, Activation, Combine, Into ds_into);
// mean (rows, channels) = the sum of s (rows, heads, channels) over heads / of, and back: ds = dmean / of for every
// head. `of` counts the heads of all ranks that share the mean.
template <class B>
void head_mean_forward(Stream, typename B::T* mean, const typename B::T* s, int64_t rows, int64_t heads,
                       int64_t channels, int64_t of);
template <class B>
void head_mean_backward(Stream, typename B::T* ds, const typename B::T* dmean, int64_t rows, int64_t heads,
                        int64_t channels, int64_t of, Into);

// ---------------------------------------------------------------- Switch Heads
// out (rows, heads, dim) = sum over the top_k experts e of each (row, head) of sigmoid(s_e) y_e; y (rows, heads,
// experts, dim), s (rows, heads, experts) before the sigmoid. The lower index wins a tie; picks are found again in
// backward.
template <class B>
void switch_forward(Stream, typename B::T* out, const typename B::T* y, const typename B::T* s, int64_t rows,
                    int64_t heads, int64_t experts, int64_t dim, int64_t top_k);
// dy, ds are overwritten, zero for experts not picked.
template <class B>
void switch_backward(Stream, typename B::T* dy, typename B::T* ds, const typename B::T* dout, const typename B::T* y,
                     const typename B::T* s, int64_t rows, int64_t heads, int64_t experts, int64_t dim, int64_t top_k);

// ---------------------------------------------------------------- mixture of experts
struct RouterShape {
    int64_t rows, experts, top_k;
    bool normalise;  // divide the picked weights by their sum
};
// probs (rows, experts) = softmax(logits), lse (rows) the log-sum-exp of logits; picks (rows, top_k), the experts with
// the largest probs + bias, largest first, the lower index where equal; weights (rows, top_k), the picks' probs; counts
// (experts), picks of each. bias (experts) may be null.
template <class B>
void router_forward(Stream, typename B::A* probs, typename B::A* lse, int32_t* picks, typename B::A* weights,
                    int64_t* counts, const typename B::T* logits, const typename B::T* bias, const RouterShape&);
// dlogits of sum(dweights weights) + sum_t sum_e balance_e probs_te + z sum_t lse_t^2. balance (experts).
template <class B>
void router_backward(Stream, typename B::T* dlogits, const typename B::A* dweights, const typename B::A* probs,
                     const typename B::A* lse, const int32_t* picks, const typename B::A* weights,
                     const typename B::A* balance, double z, const RouterShape&);
struct RouterSums {
    double balance = 0, z = 0, entropy = 0;
};
// Sums over rows, times scale, added: of sum_e share_e probs_e, of lse^2, of the entropy of probs. share (experts).
template <class B>
void router_sums(Stream, RouterSums* sums, const typename B::T* logits, const typename B::A* probs,
                 const typename B::A* lse, const typename B::A* share, double scale, const RouterShape&);
// The picks (count) sorted by expert, in order of picks within an expert: slots (count) where each went, origins
// (count) which pick stands in each slot. counts (experts) as from router_forward.
void sort_by_expert(Stream, int32_t* slots, int32_t* origins, const int32_t* picks, const int64_t* counts,
                    int64_t count, int64_t experts);
// out (count, width): out[i] = x[index[i] / per]; and out[index[i]] = x[i].
template <class T>
void gather_rows(Stream, T* out, const T* x, const int32_t* index, int64_t count, int64_t width, int64_t per);
template <class T>
void scatter_rows(Stream, T* out, const T* x, const int32_t* index, int64_t count, int64_t width);
// out (rows, width) = or += the sum over j < per of x[index[row * per + j]].
template <class B>
void sum_rows_at(Stream, typename B::T* out, const typename B::T* x, const int32_t* index, int64_t rows, int64_t per,
                 int64_t width, Into);
// Linear maps of ragged groups: rows offsets[e] to offsets[e + 1] of x and y belong to w[e] of w (experts, out, in).
struct GroupedShape {
    const int64_t* offsets;  // (experts + 1), from 0
    int64_t experts, in, out;
};
template <class B>
void grouped_linear_forward(Stream, typename B::T* y, const typename B::T* x, const typename B::T* w,
                            const GroupedShape&);
template <class B>
void grouped_linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                                   const GroupedShape&, Into);
template <class B>
void grouped_linear_backward_weight(Stream, typename B::T* dw, const typename B::T* dy, const typename B::T* x,
                                    const GroupedShape&);
// h (rows, width) = weight (rows) silu(gate) up. dgate may be gate and dup may be up.
template <class B>
void weighted_swiglu_forward(Stream, typename B::T* h, const typename B::T* gate, const typename B::T* up,
                             const typename B::A* weight, int64_t rows, int64_t width);
template <class B>
void weighted_swiglu_backward(Stream, typename B::T* dgate, typename B::T* dup, typename B::A* dweight,
                              const typename B::T* dh, const typename B::T* gate, const typename B::T* up,
                              const typename B::A* weight, int64_t rows, int64_t width);

// ---------------------------------------------------------------- pointwise
// y = act(x); y may be x when no backward follows. dx = dy act'(x); dx may be dy.
template <class B>
void activation_forward(Stream, typename B::T* y, const typename B::T* x, int64_t count, Activation);
template <class B>
void activation_backward(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* x, int64_t count,
                         Activation);
// h = silu(gate) up. dgate may be gate and dup may be up.
template <class B>
void swiglu_forward(Stream, typename B::T* h, const typename B::T* gate, const typename B::T* up, int64_t count);
template <class B>
void swiglu_backward(Stream, typename B::T* dgate, typename B::T* dup, const typename B::T* dh,
                     const typename B::T* gate, const typename B::T* up, int64_t count);
// out = x + clamp(y, -clip, clip), clip 0: no clamp; out may be x. dy = dout where |y| < clip, else 0 (NaN passes); dy
// may be dout.
template <class B>
void residual_forward(Stream, typename B::T* out, const typename B::T* x, const typename B::T* y, int64_t count,
                      double clip);
template <class B>
void residual_backward(Stream, typename B::T* dy, const typename B::T* dout, const typename B::T* y, int64_t count,
                       double clip);
template <class B>
void add(Stream, typename B::T* x, const typename B::T* y, int64_t count);  // x += y
template <class B>
void fill(Stream, typename B::T* x, typename B::T value, int64_t count);
template <class B>
void copy(Stream, typename B::T* out, const typename B::T* x, int64_t count);

// ---------------------------------------------------------------- loss
// A vocabulary may be cut: here are logits (rows, vocab) of the ids from `first` on. Of each row, stats (rows, 3): the
// largest logit, the sum of exp(logit - largest), and the target's logit (0 where it is not among these ids).
// Those exponentials (rows, vocab) are kept for backward, where the logits are if wished, or null.
template <class B>
void cross_entropy_stats(Stream, typename B::A* stats, typename B::T* exponentials, const typename B::T* logits,
                         const int32_t* targets, int64_t rows, int64_t first, int64_t vocab);
// From the stats of all parts (parts, rows, 3): losses (rows) = logsumexp(logits) - logits[target], and lse (rows). A
// target below 0 gives loss 0.
template <class B>
void cross_entropy_join(Stream, typename B::A* losses, typename B::A* lse, const typename B::A* stats,
                        const int32_t* targets, int64_t rows, int64_t parts);
// dlogits = scale * (softmax - onehot), in place of the exponentials; 0 where the target is below 0. stats are these
// ids'.
template <class B>
void cross_entropy_backward(Stream, typename B::T* dlogits, const typename B::A* stats, const typename B::A* lse,
                            const int32_t* targets, int64_t rows, int64_t first, int64_t vocab, double scale);

// ---------------------------------------------------------------- optimizer
// Sum of squares, kept in double in a fixed order.
template <class B>
double sum_of_squares(Stream, const typename B::T* x, int64_t count);

struct AdamW {
    double lr, beta1, beta2, eps, weight_decay;
    double gradient_scale;            // the clip's factor
    double correction1, correction2;  // 1 - beta^t
};
// m = beta1 m + (1 - beta1) g; v likewise of g^2; w -= lr (m / correction1 / (sqrt(v / correction2) + eps) +
// weight_decay w).
template <class B>
void adamw(Stream, typename B::T* w, typename B::T* m, typename B::T* v, const typename B::T* g, int64_t count,
           const AdamW&);

// ---------------------------------------------------------------- Muon
// b = momentum b + gradient_scale g; u = gradient_scale g + momentum b (Nesterov's look ahead). All (count).
template <class B>
void muon_momentum(Stream, typename B::T* u, typename B::T* b, const typename B::T* g, int64_t count, double momentum,
                   double gradient_scale);
// x (rows, columns), in place, becomes nearly orthogonal: divided by its norm, then five Newton-Schulz steps, which
// take its singular values to around 1. scratch (orthogonalize_scratch(rows, columns)).
template <class B>
void orthogonalize(Stream, typename B::T* x, int64_t rows, int64_t columns, typename B::T* scratch);
int64_t orthogonalize_scratch(int64_t rows, int64_t columns);
// w (rows, width) -= lr (scale x + weight_decay w), where rows of x are `stride` apart.
template <class B>
void muon_update(Stream, typename B::T* w, const typename B::T* x, int64_t rows, int64_t width, int64_t stride,
                 double lr, double scale, double weight_decay);
// y = x (rows, width), where rows of y are `stride` apart.
template <class B>
void copy_rows(Stream, typename B::T* y, const typename B::T* x, int64_t rows, int64_t width, int64_t stride);

}  // namespace sluice
