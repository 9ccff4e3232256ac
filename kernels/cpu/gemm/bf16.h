// GEMM of fp32 matrices whose operands are rounded to bf16, by oneDNN; sums are kept in fp32.
#pragma once
#include "base/bf16.h"
#include "kernels/gemm_shape.h"

namespace sluice {

// Errors: Failure(Exit::config) where oneDNN would refuse: DNNL_MAX_CPU_ISA or the processor may stop it.
void require_bf16_gemm();

void bf16_gemm(float* c, const float* a, const float* b, const GemmShape& shape);
void ragged_bf16_gemm(float* c, const float* a, const float* b, const GemmShape& shape);

// The same of operands that were rounded before.
void rounded_bf16_gemm(float* c, const bf16* a, const bf16* b, const GemmShape& shape);

}  // namespace sluice
