// The engine of a run: the program's own, or a shared library that is loaded when it is wanted.
#pragma once
#include "engine/engine.h"

namespace sluice {

// For `device: cuda` the library that $SLUICE_ENGINE names, or libsluice_cuda.so beside the program; `auto` takes it
// where there is one to take, and else the CPU; where $SLUICE_ENGINE names one or a GPU's driver is there, rank 0 tells
// why, once. Errors: Failure(Exit::config) in one line where `cuda` cannot be had.
const Engine& engine_of(const Config& config, int rank = 0);

// In the program's main, before anything else: its own engine, which `cpu` means.
void set_cpu_engine(const Engine& engine);

}  // namespace sluice
