// A Config from a tree of YAML nodes, by the visitors of its fields; the values' marks by path. What cannot be read is
// complained of, and keeps its default.
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
