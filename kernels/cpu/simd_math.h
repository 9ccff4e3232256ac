// Exponentials that the compiler can vectorise. In float: a polynomial, within 2 ulp on the whole range, with exact
// limits (0, inf); NaN gives NaN. In double: the library's. Always inlined, since a loop with a call is not vectorised.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice {

[[gnu::always_inline]] inline double fast_exp(double x) { return std::exp(x); }

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2 (Cody-Waite in two parts), exp(r) by a minimax polynomial.
[[gnu::always_inline]] inline float fast_exp(float x) {
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

// exp(x) of softmax's scores less their maximum or log-sum-exp: x at most 0 but for rounding. Below 2^-126 it is 0, NaN
// passes through. 2^n 2^r, n = round(x / ln 2), by a minimax polynomial of 2^r.
[[gnu::always_inline]] inline double softmax_exp(double x) { return std::exp(x); }
[[gnu::always_inline]] inline float softmax_exp(float x) {
    constexpr float kLog2e = 1.44269504088896341f, kRound = 12582912.0f;
    const float shifted = x * kLog2e + kRound;  // n in its low bits
    const float r = x * kLog2e - (shifted - kRound);
    float p = 1.5353361e-4f;
    p = p * r + 1.3398874e-3f;
    p = p * r + 9.6184374e-3f;
    p = p * r + 5.5503325e-2f;
    p = p * r + 2.4022648e-1f;
    p = p * r + 6.9314720e-1f;
    p = p * r + 1.0f;
    const float y = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23));
    return x < -87.3f ? 0.0f : y;
}

template <class A>
[[gnu::always_inline]] inline A fast_logistic(A x) {
    return A(1) / (A(1) + fast_exp(-x));
}
// The same as gate_math.h takes it, a function object: a pointer would keep loops from being vectorised.
inline constexpr auto logistic = [](auto x) { return fast_logistic(x); };

}  // namespace sluice
