// The ops of probes, which look at a pass and change nothing of it. They add to sums in the backend's memory, kept in
// double in an order that does not depend on the number of threads. Conventions are those of ops.h.
//
// A struct of sums is numbers of double alone, so that a set of them is one array to the host and to a sum over ranks.
// A largest number that is NaN stays NaN.
#pragma once
#include "kernels/ops.h"

namespace sluice {

// Factors of gates, g = scale act(s): how many there are, their sum, how many are below each threshold, and how many
// are in each bin. Bin i holds those from kGateLow + i kGateBin on, and below the next; the first and the last also
// those outside.
inline constexpr double kGateThresholds[] = {0.01, 0.1, 0.5};
inline constexpr double kGateLow = -2, kGateBin = 0.05;
inline constexpr int kGateBins = 80;
struct GateSums {
    double count = 0, sum = 0, under[3] = {}, bins[kGateBins] = {};
};
// sums (score heads) += those of the scores of each head, each score once.
template <class B>
void gate_sums(Stream, GateSums* sums, const typename B::T* s, const GateShape&, Factor);

// As attention_forward with k in the place of v: mean_k (sequences, length, heads, dim) = the keys that a query sees,
// added up by its weights; largest (sequences, heads, length) = its largest scaled score.
template <class B>
void attention_mean_keys(Stream, typename B::T* mean_k, typename B::A* largest, Rows<const typename B::T> q,
                         Rows<const typename B::T> k, const int32_t* doc_start, const AttentionShape&);
// Queries: how many there are, the weights that they give to their document's first token, their entropies in nats, and
// the largest scaled score of all. In a new sum the last is minus infinity.
struct AttentionSums {
    double count, first, entropy, largest;
};
// sums (heads) += those of each head of softmax attention, from its lse and attention_mean_keys. q and k as there.
template <class B>
void attention_sums(Stream, AttentionSums* sums, const typename B::A* lse, const typename B::T* mean_k,
                    const typename B::A* largest, Rows<const typename B::T> q, Rows<const typename B::T> k,
                    const int32_t* doc_start, const AttentionShape&);
// map (tokens, tokens) = the weights of the first `tokens` tokens of the first sequence, added up over heads: a row is
// a query, 0 where it does not see a key.
template <class B>
void attention_map(Stream, typename B::A* map, const typename B::A* lse, Rows<const typename B::T> q,
                   Rows<const typename B::T> k, const int32_t* doc_start, int64_t tokens, const AttentionShape&);

// Magnitudes: how many there are, their sum, how many are below each threshold, and the largest.
inline constexpr double kSmallMagnitudes[] = {0.01, 0.001};
struct MagnitudeSums {
    double count = 0, sum = 0, under[2] = {}, largest = 0;
};
// sums (heads) += those of |factor x| of each head, x (rows, heads, channels).
template <class B>
void magnitude_sums(Stream, MagnitudeSums* sums, const typename B::T* x, int64_t rows, int64_t heads, int64_t channels,
                    double factor);

}  // namespace sluice
