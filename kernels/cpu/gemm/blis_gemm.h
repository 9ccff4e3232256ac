// GEMM by BLIS.
#pragma once
#include <string>

#include "kernels/gemm_shape.h"

namespace sluice {

void blis_gemm(float* c, const float* a, const float* b, const GemmShape& shape, int threads);
std::string blis_version();  // and the processor that it takes this one for

}  // namespace sluice
