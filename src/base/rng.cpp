#include "base/rng.h"

#include <cmath>
#include <numbers>

namespace sluice {
namespace {

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit of x reaches every bit of the result.
uint64_t scramble(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

}  // namespace

// The odd constant, 2^64 / golden ratio, spreads neighbouring keys and indices over all bits. a and b enter in
// different ways, so that mix(a, b) and mix(b, a) differ.
uint64_t mix(uint64_t a, uint64_t b) {
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;
    return scramble(scramble(a + kGolden) ^ (b * kGolden + 1));
}

// FNV-1a.
uint64_t hash_name(std::string_view name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (unsigned char c : name) h = (h ^ c) * 0x100000001b3u;
    return h;
}

// The middle of one of 2^52 equal intervals of (0, 1), so that neither 0, of which normal() could take no log, nor 1
// occurs.
double uniform(uint64_t key, uint64_t index) { return (double(mix(key, index) >> 12) + 0.5) * 0x1p-52; }

// Box-Muller: uniform numbers 2 index and 2 index + 1 give a pair of normal numbers, of which this is one.
double normal(uint64_t key, uint64_t index) {
    const double radius = std::sqrt(-2 * std::log(uniform(key, 2 * index)));
    return radius * std::cos(2 * std::numbers::pi * uniform(key, 2 * index + 1));
}

}  // namespace sluice
