// Cross-entropy of logits that may be sharded over the vocabulary, and what its steps share. For every backend.
#pragma once
#include <cstdint>
#include <limits>

#include "base/host_device.h"

namespace sluice {

// A row of stats: what a shard says of its part of a row of logits.
enum { kMax, kSumExp, kTargetLogit, kStats };

template <class A>
struct RowLoss {
    A lse, target_logit;
};
// A row, of the stats of all shards: part(p, i) is number i of shard p. exp and log are those of A.
template <class A, class Part, class Exp, class Log>
SLUICE_HD RowLoss<A> join_stats(int64_t parts, Part part, Exp exp, Log log) {
    A largest = -std::numeric_limits<A>::infinity(), sum = 0, target_logit = 0;
    for (int64_t p = 0; p < parts; p++) largest = part(p, kMax) > largest ? part(p, kMax) : largest;
    for (int64_t p = 0; p < parts; p++) {
        // Brought from the shard's maximum to the row's. An empty shard has sum 0 and maximum -inf.
        const A rescale = parts > 1 ? exp(part(p, kMax) - largest) : A(1);
        if (part(p, kSumExp) != 0) sum += part(p, kSumExp) * rescale;
        target_logit += part(p, kTargetLogit);
    }
    return {largest + log(sum), target_logit};
}

}  // namespace sluice
