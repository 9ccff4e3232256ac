// Numbers as people write them, in configs and on command lines, the whole text: integers -?(0|[1-9][0-9]*), also
// grouped as 524_288 or as 2e9; numbers decimal and finite. Both return why it is none, or "" once value is set.
#pragma once
#include <cstdint>
#include <string>

namespace sluice {

std::string read_number(const std::string& text, int64_t& value);
std::string read_number(const std::string& text, double& value);

}  // namespace sluice
