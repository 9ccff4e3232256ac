// What a config may say but hardly means: a schedule that the run's steps cut short, keys that do nothing.
#pragma once
#include "config/load.h"
#include "config/marks.h"

namespace sluice {

// Warns of what hangs on steps only where they are known.
void warn_config(const Config& config, Marks& marks);

}  // namespace sluice
