// What no config may say: values out of range, parts that cannot go together, and what is not built yet.
#pragma once
#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Throws Failure(Exit::config) for the first thing wrong: where, which key, why and what to do.
void refuse_config(const Config& config, const Marks& marks, Purpose purpose);

}  // namespace sluice
