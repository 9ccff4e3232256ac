#include "data/permutation.h"

#include <bit>

#include "base/check.h"
#include "base/rng.h"

namespace sluice {

uint64_t permute(uint64_t key, uint64_t n, uint64_t index) {
    check(index < n, "an index outside its permutation");
    const int half = (std::bit_width(n - 1) + 1) / 2;  // bits of `left` and of `right`
    if (half == 0) return 0;
    const uint64_t mask = (uint64_t{1} << half) - 1;
    // From an index below n the cycle of the network leads back below n, and no two indices reach the same one.
    do {
        uint64_t left = index >> half, right = index & mask;
        // (left, right) -> (right, left ^ F(round, right)): invertible whatever F is, so the rounds permute [0, 2^b).
        for (uint64_t round = 0; round < 6; round++) {
            const uint64_t next = left ^ (mix(mix(key, round), right) & mask);
            left = right;
            right = next;
        }
        index = left << half | right;
    } while (index >= n);
    return index;
}

}  // namespace sluice
