// What a gate does to one number: y' = combine(y, act(s)). Value and slope stand side by side, for every backend; a
// test differentiates the value to hold the slope to it. A backend brings its own `logistic` as a function object.
#pragma once
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
    }
}
template <class F>
void with_gate(Activation act, Combine how, F f) {
    with_activation(act, [&](auto a) {
        if (how == Combine::multiply)
            f(a, CombineMath<Combine::multiply>{});
        else
            f(a, CombineMath<Combine::add>{});
    });
}

}  // namespace sluice
