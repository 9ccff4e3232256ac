// What cannot go together, refused with the reason before anything starts.
#pragma once
#include <string>

#include "config/load.h"

namespace sluice {

// Throws Failure(Exit::config) with the first thing wrong: "ORIGIN: path: reason".
void refuse(const Loaded& loaded, const std::string& file, Purpose purpose);

}  // namespace sluice
