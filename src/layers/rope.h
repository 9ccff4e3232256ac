// Rotary position embedding: the table of cos and sin. The frequency of channel pair i is theta^(-2i/dim). `linear`
// scaling divides it by the factor. `yarn` (arXiv 2309.00071) blends both by wavelength (beta 32 and 1), and scales cos
// and sin by 0.1 ln(factor) + 1.
#pragma once
#include <cstdint>

#include "config/specs.h"

namespace sluice {

// cos, sin (length, dim / 2).
template <class A>
void rope_table(A* cos, A* sin, const RopeSpec& spec, int64_t dim, int64_t length);

}  // namespace sluice
