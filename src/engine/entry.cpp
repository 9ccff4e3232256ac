// The entry points of an engine that is a shared library (choose.cpp).
#include "engine/engine.h"

extern "C" {
const char* sluice_engine_version() { return SLUICE_VERSION; }
const sluice::Engine* sluice_engine() { return &sluice::built_engine(); }
}
