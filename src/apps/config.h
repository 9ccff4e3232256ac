// sluice config: the resolved config with each value's origin, or the reference of every key.
#pragma once
#include <string>
#include <vector>

namespace sluice {

int config_command(const std::string& file, const std::vector<std::string>& overrides, bool json, bool reference);

}  // namespace sluice
