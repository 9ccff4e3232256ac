// Functions of float and double in kernels: the accurate ones, never those of --use_fast_math.
#pragma once
#include <cmath>

#include "base/host_device.h"
#include "kernels/gate_math.h"

namespace sluice {

#ifdef __CUDACC__
DEVICE inline float rsqrt(float x) { return ::rsqrtf(x); }
DEVICE inline double rsqrt(double x) { return ::rsqrt(x); }
#else
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
#endif
DEVICE inline float exponential(float x) { return ::expf(x); }
DEVICE inline double exponential(double x) { return ::exp(x); }
DEVICE inline float logarithm(float x) { return ::logf(x); }
DEVICE inline double logarithm(double x) { return ::log(x); }
DEVICE inline float square_root(float x) { return ::sqrtf(x); }
DEVICE inline double square_root(double x) { return ::sqrt(x); }
DEVICE inline float tangent(float x) { return ::tanf(x); }
DEVICE inline double tangent(double x) { return ::tan(x); }
DEVICE inline float power(float x, float y) { return ::powf(x, y); }
DEVICE inline double power(double x, double y) { return ::pow(x, y); }

// 1 / (1 + exp(-x)), as gate_math.h takes it. For x far below 0 the exponential is infinite, and the result 0.
struct Logistic {
    template <class A>
    DEVICE A operator()(A x) const {
        return A(1) / (A(1) + exponential(-x));
    }
};

}  // namespace sluice
