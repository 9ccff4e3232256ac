// sluice --version.
#pragma once
#include <string>

namespace sluice {

// Version and commit; then lines of the engines and their libraries, the GPU driver and what GPUs it has.
std::string version_text();

}  // namespace sluice
