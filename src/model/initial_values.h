// The values that a tensor starts from.
#pragma once
#include "tensor/params.h"

namespace sluice {

// to: what this rank holds of the tensor, row-major. A value depends on the seed, the tensor's name and its place in
// the whole tensor: it is the same on any mesh, for any number of threads, and but for rounding in any type. Computed
// on all cores of the rank.
template <class T>
void initial_values(T* to, const TensorInfo& tensor, int64_t seed);

}  // namespace sluice
