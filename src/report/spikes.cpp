#include "report/spikes.h"

namespace sluice {

std::optional<int64_t> spikes_of(const StudyPoint& point) {
    const auto counted = point.run.last("spikes");
    return counted ? std::optional(int64_t(*counted)) : std::nullopt;
}

}  // namespace sluice
