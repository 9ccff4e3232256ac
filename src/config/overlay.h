// The tree of a config file over its `base:` files, with key=value overrides on top.
#pragma once
#include <string>
#include <vector>

#include "config/yaml.h"

namespace sluice {

// `root` has been read from `file`: its base, read relative to it, goes underneath (8 deep at most, no circles).
Node over_base(Node root, const std::string& file, Diagnostics& diagnostics);
// Lays one config over another: maps key by key, all else whole.
void lay_over(Node& under, Node over);
// "model.layers=4": the dotted path of a key, the index of a list's element where there is a list, a value in YAML.
void apply_override(Node& root, const std::string& text, Diagnostics& diagnostics);

}  // namespace sluice
