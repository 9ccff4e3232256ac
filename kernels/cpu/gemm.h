// The products behind linear.cpp's ops, and what is behind those.
#pragma once
#include <functional>

#include "kernels/backend.h"
#include "kernels/gemm.h"

namespace sluice {

template <class B>
void gemm(typename B::T* c, const typename B::T* a, const typename B::T* b, const GemmShape& shape);
// Of shapes that may never come again: nothing is made ready for them.
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

// Products in float whose operands are rounded to bf16.
void gemm_bf16(float* c, const float* a, const float* b, const GemmShape& shape);
void ragged_gemm_bf16(float* c, const float* a, const float* b, const GemmShape& shape);
double measure_gemm_bf16(const GemmShape& shape, int times);  // operands rounded before
// Of so many runs, the first of which prepares unless it is the only one.
double least_seconds(const std::function<void()>& run, int times);

// BLIS, on `threads` cores.
void blis_gemm(float* c, const float* a, const float* b, const GemmShape& shape, int threads);
std::string blis_version();

// The way that was chosen, else found by time_all(), which times every way and returns the fastest; wanted.way where
// nothing may be timed or time_all is empty.
GemmWay choose_gemm_way(const GemmChoice& wanted, const std::function<GemmWay()>& time_all);

}  // namespace sluice
