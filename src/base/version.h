// Version and commit of this program.
#pragma once

namespace sluice {

const char* version();  // "0.1.0"
const char* build();    // "0.1.0 (commit 9c05f92e3a5b)"
const char* commit();   // of the source tree, "9c05f92e3a5b" or "9c05f92e3a5b-dirty"; "unknown" without git

}  // namespace sluice
