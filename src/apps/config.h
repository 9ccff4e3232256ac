// `sluice config`: the resolved config with each value's origin, or the reference of all keys.
#pragma once
#include "apps/commands.h"

namespace sluice {

// Returns the exit code. json: prints one object, whose "origins" maps the path of every value to where it comes from.
int config_command(const ConfigArgs& args, bool json, bool reference);

}  // namespace sluice
