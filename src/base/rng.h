// Random numbers as pure functions of (key, index): the same on every mesh and machine, in any order.
#pragma once
#include <cstdint>
#include <string_view>

namespace sluice {

uint64_t mix(uint64_t a, uint64_t b);          // a hash in which every bit depends on every bit of both
uint64_t hash_name(std::string_view name);     // a key for numbers of that name, such as a tensor's
double uniform(uint64_t key, uint64_t index);  // in (0, 1)
double normal(uint64_t key, uint64_t index);   // standard normal

}  // namespace sluice
