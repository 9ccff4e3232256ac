// Merges the trees of config files: a file over its `base:` files, other files over it, key=value overrides over all.
#pragma once
#include <string>
#include <vector>

#include "config/marks.h"

namespace sluice {

// Merges `root`, read from `file`, over its base files, whose paths are relative to it (8 deep at most, no cycles).
Node over_base(Node root, const std::string& file, Diagnostics& diagnostics);
// Merges one tree over another: maps key by key, all else whole.
void overlay(Node& under, Node over);
// Applies "model.layers=4": the dotted path of a key, with the index of an element where there is a list, and a value
// in YAML. Errors and marks begin with `place`, where the override is written.
void apply_override(Node& root, const std::string& text, Diagnostics& diagnostics,
                    const std::string& place = kCommandLine);

}  // namespace sluice
