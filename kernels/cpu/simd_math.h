// Exponentials that a compiler can vectorise. In float: a polynomial within 2 ulp on the whole range, exact limits (0,
// inf), and NaN passes through. In double: the library's.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice {

inline double fast_exp(double x) { return std::exp(x); }

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2 (Cody-Waite in two parts), exp(r) by a minimax polynomial.
inline float fast_exp(float x) {
    constexpr float kLog2e = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
    const float clamped = x > 88.8f ? 88.8f : x < -103.9f ? -103.9f : x;
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const float n = (clamped * kLog2e + kRound) - kRound;
    const float r = (clamped - n * kLn2High) - n * kLn2Low;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    // Two factors of 2^n reach the subnormals and the overflow alike.
    const int32_t whole = int32_t(n == n ? n : 0.0f), half = whole >> 1;
    const float a = std::bit_cast<float>((half + 127) << 23), b = std::bit_cast<float>((whole - half + 127) << 23);
    const float y = p * a * b;
    return x != x ? x : x < -103.9f ? 0.0f : y;
}

template <class A>
A fast_logistic(A x) {
    return A(1) / (A(1) + fast_exp(-x));
}

}  // namespace sluice
