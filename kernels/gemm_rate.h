// How fast this rank multiplies matrices: the denominator of MFU on a CPU.
#pragma once

namespace sluice {

double measure_gemm_rate();  // FLOP/s of linear_forward in float at 1024 x 1024 x 1024, best of five

}  // namespace sluice
