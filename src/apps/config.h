// `sluice config`: the resolved config with each value's origin, or the reference of all keys.
#pragma once
#include "apps/commands.h"

namespace sluice {

// Returns the exit code. json: one object; its "origins" maps every leaf's path to where the value comes from.
int config_command(const ConfigArgs& args, bool json, bool reference);

}  // namespace sluice
