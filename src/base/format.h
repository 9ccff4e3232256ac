// Numbers for people.
#pragma once
#include <string>

namespace sluice {

std::string format_count(double n);          // 950, 1.74M, 12.3G
std::string format_bytes(double bytes);      // 512B, 61.3G (powers of 1024)
std::string format_seconds(double seconds);  // 301ms, 1.20s, 34m10s, 1h34m

}  // namespace sluice
