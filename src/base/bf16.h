// bfloat16: the upper 16 bits of a float, 8 bits of precision. Arithmetic is that of float: a value is rounded where
// it becomes a bf16, to the nearest, ties to even; NaN stays NaN.
#pragma once
#include <bit>
#include <cstdint>

namespace sluice {

class bf16 {
 public:
    bf16() = default;
    constexpr explicit bf16(float x) : bits_(rounded(std::bit_cast<uint32_t>(x), x != x)) {}
    constexpr operator float() const { return std::bit_cast<float>(uint32_t(bits_) << 16); }

 private:
    static constexpr uint16_t rounded(uint32_t bits, bool nan) {
        return uint16_t(nan ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
    uint16_t bits_;
};
static_assert(sizeof(bf16) == 2);

}  // namespace sluice
