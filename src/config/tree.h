// A Config as a tree of YAML nodes, in order of declaration, for dumps and comparisons.
#pragma once
#include "config/specs.h"
#include "config/yaml.h"

namespace sluice {

Node to_tree(const Config& config);

}  // namespace sluice
