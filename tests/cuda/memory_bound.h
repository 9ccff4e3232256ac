// A call of every op of kernels/ops.h and probes.h that moves more than it computes, on tensors of given sizes.
#pragma once
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/tensors.h"

namespace sluice {

struct OpCall {
    const char* name;
    std::function<void(Tensors&)> queue;
    const char* how = "";  // of several calls of an op
    bool slow = false;     // blocks walk down many rows, however these lie
};
inline OpCall as(const char* how, OpCall call) {
    call.how = how;
    return call;
}
inline OpCall slow(OpCall call) {
    call.slow = true;
    return call;
}

// Tensors are `rows` of `width` numbers, but where a block walks down many rows. These are `tokens` that stand `stride`
// apart where an op takes such rows, else `dense` of `width`, or `wide_rows` of `wide`.
struct OpSizes {
    int64_t rows, width, heads, dim;  // width = heads dim
    int64_t tokens, stride;
    int64_t dense;
    int64_t wide_rows, wide;
    int64_t logits, vocab;           // rows of `vocab`
    int64_t routed, experts, top_k;  // rows of `experts`
    int64_t per;                     // experts of a token whose rows are moved
};

inline OpCall op_call(const char* name, std::function<void(Tensors&)> queue) { return {name, std::move(queue)}; }
// A call of an op of backend B, with tensors that `t` makes.
#define SLUICE_CALL(op, ...) op_call(#op, [=](Tensors& t) { op<B>(t.stream(), __VA_ARGS__); })

template <class B>
std::vector<OpCall> norms(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;
    const int64_t R = n.rows, D = n.dense, W = n.width, F = n.tokens, S = n.stride, wide = n.wide, few = n.wide_rows;
    const RopeShape heads{1, F, n.heads, n.dim};
    const int64_t angles = F * n.dim / 2, of_heads = F * n.heads;
    return {
        slow(SLUICE_CALL(rmsnorm_forward, t.out<T>(D * W), t.out<A>(D), t.in<T>(D * W), t.in<T>(W), D, W, 1e-6)),
        slow(SLUICE_CALL(rmsnorm_backward, t.both<T>(D * W), t.both<G>(W), t.in<T>(D * W), t.in<T>(D * W), t.in<T>(W),
                         t.in<A>(D), D, W, Into::add)),
        slow(SLUICE_CALL(residual_rmsnorm_forward, t.out<T>(D * W), t.out<T>(D * W), t.out<A>(D), t.in<T>(D * W),
                         t.in<T>(D * W), t.in<T>(W), D, W, 1e-6, 1)),
        SLUICE_CALL(rope, t.both_rows<T>(F, W, S), t.in<A>(angles), t.in<A>(angles), heads, 1),
        SLUICE_CALL(rmsnorm_rope_forward, t.out<T>(F * W), t.out<A>(of_heads), t.in_rows<T>(F, W, S), t.in<T>(n.dim),
                    t.in<A>(angles), t.in<A>(angles), heads, 1e-6),
        SLUICE_CALL(rmsnorm_rope_backward, t.out_rows<T>(F, W, S), t.both<G>(n.dim), t.in_rows<T>(F, W, S),
                    t.in_rows<T>(F, W, S), t.in<T>(n.dim), t.in<A>(of_heads), t.in<A>(angles), t.in<A>(angles), heads),
        SLUICE_CALL(sum_of_squares_by_row, t.out<A>(R), t.in<T>(R * W), R, W),
        SLUICE_CALL(rela_norm_forward, t.out<T>(R * W), t.out<A>(R), t.in<T>(R * W), t.in<A>(R), t.in<T>(W), t.in<T>(W),
                    R, W, W, 1e-6),
        SLUICE_CALL(rela_norm_dots, t.out<A>(R), t.in<T>(R * W), t.in<T>(R * W), t.in<T>(W), t.in<T>(W), R, W),
        SLUICE_CALL(rela_norm_backward, t.out<T>(few * wide), t.both<G>(wide), t.both<G>(wide), t.in<T>(few * wide),
                    t.in<T>(few * wide), t.in<T>(wide), t.in<T>(wide), t.in<A>(few), t.in<A>(few), few, wide, wide),
    };
}

template <class B>
std::vector<OpCall> gates(const OpSizes& n) {
    using T = typename B::T;
    using G = typename B::G;
    const int64_t R = n.rows, W = n.width, H = n.heads, D = n.dim, F = n.tokens, S = n.stride;
    constexpr auto act = Activation::silu;
    constexpr auto multiply = Combine::multiply;
    const auto forward = [=](const char* how, const GateShape& gate) {
        return as(how, SLUICE_CALL(gate_forward, t.out<T>(R * W), t.in_rows<T>(R, W, W), t.in<T>(gate.scores()), gate,
                                   act, multiply));
    };
    const auto backward = [=](const char* how, const GateShape& gate) {
        return as(how,
                  SLUICE_CALL(gate_backward, t.out_rows<T>(R, W, W), t.out<T>(gate.scores()), t.in_rows<T>(R, W, W),
                              t.in_rows<T>(R, W, W), t.in<T>(gate.scores()), gate, act, multiply, Into::overwrite));
    };
    const GateShape elementwise{R, H, D, {W, D, 1}}, headwise{R, H, D, {H, 1, 0}}, shared{R, H, D, {D, 0, 1}};
    const GateShape constant{F, H, D, {0, D, 1}};
    return {
        forward("elementwise", elementwise),
        forward("headwise", headwise),
        forward("shared", shared),
        backward("elementwise", elementwise),
        backward("headwise", headwise),
        backward("shared", shared),
        as("constant", SLUICE_CALL(gate_backward, t.out_rows<T>(F, W, S), t.both<G>(W), t.in_rows<T>(F, W, S),
                                   t.in_rows<T>(F, W, S), t.in<T>(W), constant, act, multiply, Into::add)),
        SLUICE_CALL(bias_forward, t.both_rows<T>(R, W, W), t.in<T>(W), R, W),
        SLUICE_CALL(bias_backward, t.both<G>(W), t.in_rows<T>(F, W, S), F, W),
        SLUICE_CALL(head_mean_forward, t.out<T>(R * W), t.in_rows<T>(R, 2 * W, 2 * W), R, 2, W, 2),
        SLUICE_CALL(head_mean_backward, t.out_rows<T>(R, 2 * W, 2 * W), t.in<T>(R * W), R, 2, W, 2),
        SLUICE_CALL(switch_forward, t.out<T>(R * W), t.in_rows<T>(R, 2 * W, 2 * W), t.in_rows<T>(R, 2 * H, W), R, H, 2,
                    D, 2),
        SLUICE_CALL(switch_backward, t.out_rows<T>(R, 2 * W, 2 * W), t.out_rows<T>(R, 2 * H, W), t.in<T>(R * W),
                    t.in_rows<T>(R, 2 * W, 2 * W), t.in_rows<T>(R, 2 * H, W), R, H, 2, D, 2),
    };
}

template <class B>
std::vector<OpCall> probes(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    const int64_t R = n.rows, W = n.width, S = n.stride, M = n.routed, E = n.experts;
    const GateShape gate{M, 1, E, {E, E, 1}};
    // Sequences of one token, whose key is its own; so many that the last is the last block's.
    const int64_t F = (n.tokens + 511) / 512 * 512;
    const AttentionShape attention{F, 1, n.heads, n.heads, n.dim, 0, 1};
    return {
        slow(SLUICE_CALL(gate_sums, t.both<GateSums>(1), t.in<T>(M * E), gate, Activation::silu)),
        slow(SLUICE_CALL(attention_sums, t.both<AttentionSums>(n.heads), t.in<A>(F * n.heads), t.in<T>(F * W),
                         t.in<A>(F * n.heads), t.in_rows<T>(F, W, S), t.in_rows<T>(F, W, S), t.in<int32_t>(F),
                         attention)),
        slow(SLUICE_CALL(magnitude_sums, t.both<MagnitudeSums>(1), t.in<T>(R * W), R, 1, W, 1)),
    };
}

template <class B>
std::vector<OpCall> moves(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;
    const int64_t R = n.rows, W = n.width, M = n.routed, E = n.experts, K = n.top_k, per = n.per;
    const RouterShape router{M, E, K, true};
    return {
        SLUICE_CALL(embedding_forward, t.out<T>(R * W), t.ends_in<int32_t>(R, R - 1), t.in<T>(R * W), R, W, 0, R),
        SLUICE_CALL(embedding_backward, t.both<G>(R * W), t.in<T>(R * W), t.numbers(R), t.numbers(R), R, W, 0, R),
        slow(SLUICE_CALL(router_forward, t.out<A>(M * E), t.out<A>(M), t.out<int32_t>(M * K), t.out<A>(M * K),
                         t.out<int64_t>(E), t.in<A>(M * E), t.in<A>(E), router)),
        slow(SLUICE_CALL(router_backward, t.out<T>(M * E), t.in<A>(M * K), t.in<A>(M * E), t.in<A>(M),
                         t.in<int32_t>(M * K), t.in<A>(M * K), t.in<A>(E), 1, 1, router)),
        slow(SLUICE_CALL(router_sums, t.both<RouterSums>(1), t.in<A>(M * E), t.in<A>(M * E), t.in<A>(M), t.in<A>(E), 1,
                         router)),
        SLUICE_CALL(gather_rows, t.out<T>(R * W), t.in<T>(R * W), t.numbers(R), R, W),
        SLUICE_CALL(scatter_rows, t.out<T>(per * R * W), t.in<T>(R * W), t.numbers(per * R), R, per, W),
        SLUICE_CALL(sum_rows_at, t.out<T>(R * W), t.in<T>(per * R * W), t.ends_in<int32_t>(per * R, per * R - 1), R,
                    per, W, Into::overwrite),
        as("add", SLUICE_CALL(sum_rows_at, t.both<T>(R * W), t.in<T>(per * R * W),
                              t.ends_in<int32_t>(per * R, per * R - 1), R, per, W, Into::add)),
    };
}

template <class B>
std::vector<OpCall> pointwise(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    const int64_t R = n.rows, W = n.width, C = R * W;
    constexpr auto act = Activation::silu;
    return {
        SLUICE_CALL(weighted_swiglu_forward, t.out<T>(C), t.in<T>(C), t.in<T>(C), t.in<A>(R), R, W),
        SLUICE_CALL(weighted_swiglu_backward, t.out<T>(C), t.out<T>(C), t.out<A>(R), t.in<T>(C), t.in<T>(C), t.in<T>(C),
                    t.in<A>(R), R, W),
        SLUICE_CALL(activation_forward, t.out<T>(C), t.in<T>(C), C, act),
        SLUICE_CALL(activation_backward, t.out<T>(C), t.in<T>(C), t.in<T>(C), C, act),
        SLUICE_CALL(swiglu_forward, t.out<T>(C), t.in<T>(2 * C), R, W),
        SLUICE_CALL(swiglu_backward, t.out<T>(2 * C), t.in<T>(C), t.in<T>(2 * C), R, W),
        SLUICE_CALL(residual_forward, t.out<T>(C), t.in<T>(C), t.in<T>(C), C, 1),
        SLUICE_CALL(residual_backward, t.out<T>(C), t.in<T>(C), t.in<T>(C), C, 1),
        SLUICE_CALL(add, t.both<T>(C), t.in<T>(C), C),
    };
}

template <class B>
std::vector<OpCall> losses(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    const int64_t R = n.rows, L = n.logits, V = n.vocab, parts = 8, joined = 64 * R;
    return {
        SLUICE_CALL(cross_entropy_stats, t.out<A>(L * 3), t.out<T>(L * V), t.in<T>(L * V), t.in<int32_t>(L), L, 0, V),
        SLUICE_CALL(cross_entropy_join, t.out<A>(joined), t.out<A>(joined), t.in<A>(parts * joined * 3),
                    t.in<int32_t>(joined), joined, parts),
        SLUICE_CALL(cross_entropy_backward, t.both<T>(L * V), nullptr, t.in<A>(L), t.in<int32_t>(L), L, 0, V, 1),
        SLUICE_CALL(sum_of_losses, t.both<double>(1), t.in<A>(n.logits), n.logits),
    };
}

template <class B>
std::vector<OpCall> updates(const OpSizes& n) {
    using T = typename B::T;
    using A = typename B::A;
    using G = typename B::G;
    const int64_t R = n.rows, W = n.width, C = R * W, spans = C / B::kSpan;
    // Weights are read where they are their own masters.
    constexpr bool kMasters = !std::is_same_v<T, A>;
    const auto weights = [=](Tensors& t) { return kMasters ? t.out<T>(C) : t.both<T>(C); };
    const auto masters = [=](Tensors& t) { return kMasters ? t.both<A>(C) : nullptr; };
    std::vector<Span> squares;
    std::vector<AdamWSpan> adamw_spans;
    for (int64_t i = 0; i < C; i += B::kSpan) {
        squares.push_back({i, B::kSpan});
        adamw_spans.push_back({i, i, i, B::kSpan, true});
    }
    std::vector<OpCall> calls{
        SLUICE_CALL(sum_of_squares, t.both<double>(1), t.in<G>(C), t.values(squares), spans),
        SLUICE_CALL(adamw, weights(t), masters(t), t.both<A>(C), t.both<A>(C), t.in<G>(C), t.values(adamw_spans), spans,
                    {1, 1, 1, 1, 1, 1, 1, 1}),
        SLUICE_CALL(muon_momentum, t.out<T>(C), t.both<A>(C), t.in<G>(C), C, 1, 1),
        SLUICE_CALL(muon_update, weights(t), masters(t), t.in_rows<T>(R, W, 2 * W), R, W, 1, 1, 1),
        SLUICE_CALL(copy_rows, t.out_rows<T>(R, W, 2 * W), t.in_rows<T>(R, W, W), R, W, Into::overwrite),
        as("added", SLUICE_CALL(copy_rows, t.both_rows<T>(R, W, 2 * W), t.in_rows<T>(R, W, W), R, W, Into::add)),
    };
    if (kMasters) calls.push_back(SLUICE_CALL(round_weights, t.out<T>(C), t.in<A>(C), C));
    return calls;
}

template <class B>
std::vector<OpCall> memory_bound(const OpSizes& n) {
    std::vector<OpCall> all;
    for (const auto& calls :
         {norms<B>(n), gates<B>(n), moves<B>(n), pointwise<B>(n), losses<B>(n), updates<B>(n), probes<B>(n)})
        all.insert(all.end(), calls.begin(), calls.end());
    return all;
}

}  // namespace sluice
