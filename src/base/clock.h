// Time in seconds.
#pragma once
#include <chrono>

namespace sluice {

// Since some moment; never goes back.
inline double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
// Since 1970, as the machine's clock tells.
inline double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace sluice
