#include "base/version.h"

namespace sluice {

extern const char *const kVersion, *const kCommit, *const kBuild;  // in a file that the build writes (cmake/commit.cmake)

const char* version() { return kVersion; }
const char* build() { return kBuild; }
const char* commit() { return kCommit; }

}  // namespace sluice
