// GEMM on a CPU: linear.cpp's ops multiply by these. In fp32 oneDNN and BLIS multiply, by the algorithm that autotuning
// chose (autotune.h); operands that are rounded to bf16 go to oneDNN (bf16.cpp); in double the loops of fp64.cpp are
// the definition. C is (m, n); A and B are stored as the shape says.
#pragma once
#include "kernels/backend.h"
#include "kernels/gemm_shape.h"

namespace sluice {

template <class B>
void gemm(typename B::T* c, const typename B::T* a, const typename B::T* b, const GemmShape& shape);
// For shapes that may never come again: nothing is prepared for them.
template <class B>
void ragged_gemm(typename B::T* c, const typename B::T* a, const typename B::T* b, const GemmShape& shape);

template <>
void gemm<Cpu<double>>(double* c, const double* a, const double* b, const GemmShape& shape);
template <>
void gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& shape);
template <>
void ragged_gemm<Cpu<double>>(double* c, const double* a, const double* b, const GemmShape& shape);
template <>
void ragged_gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& shape);

}  // namespace sluice
