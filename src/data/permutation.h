// A permutation of [0, n) as a pure function: O(1) memory, no table. A Feistel network over the smallest even number of
// bits that holds n, walked until it lands inside (at most four rounds of it on average).
#pragma once
#include <cstdint>

namespace sluice {

uint64_t permute(uint64_t key, uint64_t n, uint64_t index);  // index < n

}  // namespace sluice
