// A pseudo-random permutation of [0, n) as a pure function, in O(1) memory and without a table. A Feistel network
// permutes [0, 2^b), b being the smallest even number of bits that holds n - 1. It is applied again until the result is
// below n (cycle walking): at most four times on average.
#pragma once
#include <cstdint>

namespace sluice {

uint64_t permute(uint64_t key, uint64_t n, uint64_t index);  // the image of index < n

}  // namespace sluice
