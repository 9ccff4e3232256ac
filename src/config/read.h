// Reads a Config from a tree of YAML nodes, and notes the place of each value. A value that cannot be read is reported
// and keeps its default.
#pragma once
#include <string>
#include <vector>

#include "config/marks.h"
#include "config/specs.h"

namespace sluice {

// Every section and key as a dotted path, in order of declaration.
std::vector<std::string> config_paths();

void read_config(const Node& root, Config& config, Marks& marks);

}  // namespace sluice
