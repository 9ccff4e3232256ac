// The products behind linear.cpp's ops, and what is behind those.
#pragma once
#include <functional>

#include "kernels/gemm.h"

namespace sluice {

void gemm(float* c, const float* a, const float* b, const GemmShape& shape);
void gemm(double* c, const double* a, const double* b, const GemmShape& shape);
// Of shapes that may never come again: nothing is made ready for them.
void ragged_gemm(float* c, const float* a, const float* b, const GemmShape& shape);
void ragged_gemm(double* c, const double* a, const double* b, const GemmShape& shape);

// BLIS, on `threads` cores.
void blis_gemm(float* c, const float* a, const float* b, const GemmShape& shape, int threads);
std::string blis_version();

// wanted.way where nothing was chosen yet and nothing may be timed. time_all() times every way and returns the fastest.
GemmWay choose_gemm_way(GemmChoice wanted, const std::function<GemmWay()>& time_all);

}  // namespace sluice
