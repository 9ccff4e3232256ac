#include "base/version.h"

namespace sluice {

extern const char* const kCommit;  // in a file that the build writes (cmake/commit.cmake)

const char* version() { return SLUICE_VERSION; }
const char* commit() { return kCommit; }

}  // namespace sluice
