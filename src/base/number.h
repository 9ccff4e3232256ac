// Numbers as people write them in configs and on command lines. The whole text must be the number: an integer
// -?(0|[1-9][0-9]*), which may be grouped as 524_288 or written as 2e9; or a finite decimal number. Both functions
// return why the text is no such number, or "" once `value` is set.
#pragma once
#include <cstdint>
#include <string>

namespace sluice {

std::string read_number(const std::string& text, int64_t& value);
std::string read_number(const std::string& text, double& value);

}  // namespace sluice
