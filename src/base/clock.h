// Time in seconds.
#pragma once
#include <chrono>

namespace sluice {

// Seconds since an arbitrary moment; never decreases.
inline double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
// Seconds since 1970 by the system clock, which can be set back.
inline double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace sluice
