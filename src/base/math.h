// Arithmetic of whole numbers, host and device.
#pragma once
#include <cstdint>

#include "base/host_device.h"

namespace sluice {

// total / parts, rounded up; neither is negative.
SLUICE_HD constexpr int64_t ceil_div(int64_t total, int64_t parts) { return (total + parts - 1) / parts; }

}  // namespace sluice
