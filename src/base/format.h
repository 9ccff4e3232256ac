// Human-readable numbers and text. Numbers that are not finite are written nan, inf or -inf.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

std::string format_count(double n);                // 950, 1.74M, 12.3G
std::string format_bytes(double bytes);            // 512B, 61.3G (powers of 1024)
std::string format_seconds(double seconds);        // 301ms, 1.20s, 34m10s, 1h34m, 12d04h; ? where not finite
std::string format_fixed(double x, int decimals);  // 5.8123

// "1 rank", "4 ranks"; "1 token", "961K tokens". The noun's plural ends in s.
std::string counted(int64_t n, const std::string& noun);
std::string counted_short(double n, const std::string& noun);

// Text on one line, for messages: control characters become spaces, and what follows the first `longest` bytes is
// replaced by "...".
std::string printable(const std::string& text, size_t longest = 120);
std::string in_quotes(const std::string& text);  // the same in single quotes

// "a, b, c and 2 more": at most `most` names. Control characters become '?', so that the list stays on one line.
std::string format_list(const std::vector<std::string>& names, size_t most = 3);

}  // namespace sluice
