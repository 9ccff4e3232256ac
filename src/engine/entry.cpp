// The entry points of an engine that is a shared library (choose.cpp). It tells of which build it is by itself: what it
// links to is the program's.
#include "commit.h"
#include "engine/engine.h"

extern "C" {
const char* sluice_engine_version() { return SLUICE_BUILD; }
const sluice::Engine* sluice_engine() { return &sluice::built_engine(); }
}
