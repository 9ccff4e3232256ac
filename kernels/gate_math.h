// What a gate does to one number: y' = combine(y, scale act(s)). Value and slope stand side by side, for every backend;
// a test differentiates the value to hold the slope to it. A backend brings its own `logistic` as a function object.
#pragma once
#include <cmath>

#include "base/activation.h"
#include "base/host_device.h"

namespace sluice {

// The slope of sigmoid where its value is g, times scale.
template <class A>
SLUICE_HD A sigmoid_slope(A g, A scale = A(1)) {
    return scale * g * (A(1) - g);
}

// silu = s g with g = sigmoid(s), and its slope, times scale.
template <class A>
SLUICE_HD A silu_value(A s, A g, A scale = A(1)) {
    return scale * s * g;
}
template <class A>
SLUICE_HD A silu_slope(A s, A g, A scale = A(1)) {
    return scale * g * (A(1) + s * (A(1) - g));
}

// -log(1 - x) of x from 0 to 1/2, as exact for small x as for large. In float 2 atanh(t) with t = x / (2 - x), at most
// 1/3, by its series: within 1e-7 of the value, and nothing that a compiler could not vectorise.
SLUICE_HD inline double minus_log_of_rest(double x) { return -std::log1p(-x); }
SLUICE_HD inline float minus_log_of_rest(float x) {
    const float t = x / (2.0f - x), z = t * t;
    float p = 1.0f / 13;
    p = p * z + 1.0f / 11;
    p = p * z + 1.0f / 9;
    p = p * z + 1.0f / 7;
    p = p * z + 1.0f / 5;
    p = p * z + 1.0f / 3;
    p = p * z + 1.0f;
    return 2.0f * t * p;
}

// tanh(s) = sign(s) (1 - 2 sigmoid(-2 |s|)), which cancels near 0: there a minimax polynomial, odd in s.
template <class L>
SLUICE_HD double tanh_value(double s, L) {
    return std::tanh(s);
}
template <class L>
SLUICE_HD float tanh_value(float s, L logistic) {
    const float a = s < 0 ? -s : s, z = s * s;
    const float far = 1.0f - 2.0f * logistic(-2.0f * a);
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    p = p * z * s + s;
    return a < 0.625f ? p : s < 0 ? -far : far;
}

template <Activation>
struct ActivationMath;
template <>
struct ActivationMath<Activation::sigmoid> {
    template <class A, class L>
    static SLUICE_HD A value(A s, L logistic) {
        return logistic(s);
    }
    template <class A, class L>
    static SLUICE_HD A slope(A s, L logistic) {
        return sigmoid_slope(logistic(s));
    }
};
template <>
struct ActivationMath<Activation::silu> {
    template <class A, class L>
    static SLUICE_HD A value(A s, L logistic) {
        return silu_value(s, logistic(s));
    }
    template <class A, class L>
    static SLUICE_HD A slope(A s, L logistic) {
        return silu_slope(s, logistic(s));
    }
};
template <>
struct ActivationMath<Activation::ns_sigmoid> {  // never below one half
    template <class A, class L>
    static SLUICE_HD A value(A s, L logistic) {
        return A(0.5) + A(0.5) * logistic(s);
    }
    template <class A, class L>
    static SLUICE_HD A slope(A s, L logistic) {
        return sigmoid_slope(logistic(s), A(0.5));
    }
};
template <>
struct ActivationMath<Activation::identity> {
    template <class A, class L>
    static SLUICE_HD A value(A s, L) {
        return s;
    }
    template <class A, class L>
    static SLUICE_HD A slope(A, L) {
        return A(1);
    }
};

// log(1 + exp(s)) = max(s, 0) + log(1 + exp(-|s|)), and 1 + exp(-|s|) = 1 / (1 - sigmoid(-|s|)).
template <>
struct ActivationMath<Activation::softplus> {
    template <class A, class L>
    static SLUICE_HD A value(A s, L logistic) {
        const A a = s < 0 ? -s : s;
        return (s > 0 ? s : A(0)) + minus_log_of_rest(logistic(-a));
    }
    template <class A, class L>
    static SLUICE_HD A slope(A s, L logistic) {
        return logistic(s);
    }
};
template <>
struct ActivationMath<Activation::tanh> {
    template <class A, class L>
    static SLUICE_HD A value(A s, L logistic) {
        return tanh_value(s, logistic);
    }
    // 1 - tanh^2, without its cancellation far from 0.
    template <class A, class L>
    static SLUICE_HD A slope(A s, L logistic) {
        const A a = s < 0 ? -s : s;
        return sigmoid_slope(logistic(A(-2) * a), A(4));
    }
};

template <Combine>
struct CombineMath;
template <>
struct CombineMath<Combine::multiply> {
    template <class A>
    static SLUICE_HD A value(A y, A g) {
        return y * g;
    }
    template <class A>
    static SLUICE_HD A dy(A d, A g) {
        return d * g;
    }
    template <class A>
    static SLUICE_HD A dg(A d, A y) {
        return d * y;
    }
};
template <>
struct CombineMath<Combine::add> {
    template <class A>
    static SLUICE_HD A value(A y, A g) {
        return y + g;
    }
    template <class A>
    static SLUICE_HD A dy(A d, A) {
        return d;
    }
    template <class A>
    static SLUICE_HD A dg(A d, A) {
        return d;
    }
};

// A runtime word becomes a compile-time type, once, for every backend.
template <class F>
void with_activation(Activation act, F f) {
    switch (act) {
        case Activation::sigmoid:
            return f(ActivationMath<Activation::sigmoid>{});
        case Activation::silu:
            return f(ActivationMath<Activation::silu>{});
        case Activation::ns_sigmoid:
            return f(ActivationMath<Activation::ns_sigmoid>{});
        case Activation::identity:
            return f(ActivationMath<Activation::identity>{});
        case Activation::softplus:
            return f(ActivationMath<Activation::softplus>{});
        case Activation::tanh:
            return f(ActivationMath<Activation::tanh>{});
    }
}

// A gate's factor g = scale act(s), and the slope of act alone.
template <class Act, class A>
struct FactorMath {
    A scale;
    template <class L>
    SLUICE_HD A value(A s, L logistic) const {
        return scale * Act::value(s, logistic);
    }
    template <class L>
    SLUICE_HD A slope(A s, L logistic) const {
        return Act::slope(s, logistic);
    }
};
template <class A, class F>
void with_gate(Factor factor, Combine how, F f) {
    with_activation(factor.activation, [&]<class Act>(Act) {
        const FactorMath<Act, A> a{A(factor.scale)};
        if (how == Combine::multiply)
            f(a, CombineMath<Combine::multiply>{});
        else
            f(a, CombineMath<Combine::add>{});
    });
}

}  // namespace sluice
