// bfloat16: the upper 16 bits of a float, 8 bits of precision. Arithmetic is that of float: a value is rounded where
// it becomes a bf16, to the nearest, ties to even; NaN stays NaN. Host and device.
#pragma once
#include <cstdint>
#include <type_traits>

#include "base/host_device.h"

namespace sluice {

class bf16;
// An element of an array that stands for the bf16 in it: converts to bf16 and to float.
template <class X>
concept StandsForBf16 = requires {
    requires std::is_same_v<typename X::Value, bf16>;
};

class bf16 {
 public:
    bf16() = default;
    template <class X>
    requires(!StandsForBf16<X> && std::is_convertible_v<X, float>) SLUICE_HD constexpr explicit bf16(const X& x)
        : bits_(rounded(float(x))) {}
    SLUICE_HD constexpr operator float() const { return __builtin_bit_cast(float, uint32_t(bits_) << 16); }

 private:
    SLUICE_HD static constexpr uint16_t rounded(float x) {
        const uint32_t bits = __builtin_bit_cast(uint32_t, x);
        return uint16_t(x != x ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
    uint16_t bits_;
};
static_assert(sizeof(bf16) == 2);

}  // namespace sluice
