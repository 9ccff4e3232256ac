// Sanitizers look at what a test touches, not at how often: where a test repeats itself, they see less of it.
#pragma once

namespace sluice {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace sluice
