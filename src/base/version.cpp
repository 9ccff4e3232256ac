#include "base/version.h"

namespace sluice {

// In a file that the build writes (cmake/commit.cmake).
extern const char *const kVersion, *const kCommit, *const kBuild;

const char* version() { return kVersion; }
const char* build() { return kBuild; }
const char* commit() { return kCommit; }

}  // namespace sluice
