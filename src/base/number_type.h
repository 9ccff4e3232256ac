// The types of numbers that can be summed over ranks: float, double, int64_t; and bf16 in a device's memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/bf16.h"

namespace sluice {

enum class Number { f32, f64, i64, bf16 };
template <class T>
constexpr Number number_of();
template <>
constexpr Number number_of<float>() {
    return Number::f32;
}
template <>
constexpr Number number_of<double>() {
    return Number::f64;
}
template <>
constexpr Number number_of<int64_t>() {
    return Number::i64;
}
template <>
constexpr Number number_of<bf16>() {
    return Number::bf16;
}
constexpr size_t bytes_of(Number type) { return type == Number::f32 ? 4 : type == Number::bf16 ? 2 : 8; }

}  // namespace sluice
