// bfloat16: the upper 16 bits of a float.
#pragma once
#include <bit>
#include <cstdint>

namespace sluice {

struct bf16 {
    uint16_t bits;
};

// Rounds to the nearest, ties to even; NaN stays NaN.
inline bf16 to_bf16(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return {uint16_t(x != x ? (bits >> 16) | 0x40 : rounded)};
}
inline float to_float(bf16 x) { return std::bit_cast<float>(uint32_t(x.bits) << 16); }

}  // namespace sluice
