// Which of some scores are among the largest. For every backend.
#pragma once
#include <cstdint>

#include "base/host_device.h"

namespace sluice {

// Whether expert e is among the top_k of score(0) .. score(experts - 1): fewer than top_k others go before it, with a
// larger score or, of equal ones, a lower index.
template <class Score>
SLUICE_HD bool in_top_k(Score score, int64_t experts, int64_t top_k, int64_t e) {
    const auto mine = score(e);
    int64_t before = 0;
    for (int64_t i = 0; i < experts; i++) {
        const auto other = score(i);
        before += other > mine || (other == mine && i < e);
    }
    return before < top_k;
}

}  // namespace sluice
