// Warnings: a schedule longer than the run, keys that do nothing.
#pragma once
#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Warnings that depend on steps are skipped if steps are not known.
void warn_config(const Config& config, Marks& marks);

}  // namespace sluice
