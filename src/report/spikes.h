// Spikes of a run's training loss.
#pragma once
#include <cstdint>
#include <optional>

#include "report/study.h"

namespace sluice {

std::optional<int64_t> spikes_of(const StudyPoint& point);

}  // namespace sluice
