// `sluice config`: the resolved config with each value's origin, or the reference of all keys.
#pragma once
#include <string>
#include <vector>

namespace sluice {

// Returns the exit code. json: one object; its "origins" maps every leaf's path to where the value comes from.
int config_command(const std::string& file, const std::vector<std::string>& overrides, bool json, bool reference);

}  // namespace sluice
