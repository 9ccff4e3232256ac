// The activation that a gate applies to its scores, and how the result is combined with the gated tensor. Configs and
// kernels share these names.
#pragma once
#include "base/enum_names.h"

namespace sluice {

enum class Activation { sigmoid, silu, ns_sigmoid, identity, softplus, tanh };
template <>
struct EnumNames<Activation> {
    static constexpr std::pair<const char*, Activation> all[] = {
        {"sigmoid", Activation::sigmoid},   {"silu", Activation::silu},         {"ns_sigmoid", Activation::ns_sigmoid},
        {"identity", Activation::identity}, {"softplus", Activation::softplus}, {"tanh", Activation::tanh}};
};

// What a gate makes of a score s: scale act(s).
struct Factor {
    Activation activation;
    double scale;
    constexpr Factor(Activation activation, double scale = 1) : activation(activation), scale(scale) {}
};

enum class Combine { multiply, add };
template <>
struct EnumNames<Combine> {
    static constexpr std::pair<const char*, Combine> all[] = {{"multiply", Combine::multiply}, {"add", Combine::add}};
};

}  // namespace sluice
