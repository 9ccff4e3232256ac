// The engine of a command: the program's own, or a shared library that is loaded when it is wanted, and the GPU of each
// rank.
#pragma once
#include <string>
#include <vector>

#include "engine/driver.h"
#include "engine/engine.h"
#include "parallel/comm.h"

namespace sluice {

// A library that holds an engine.
struct EngineLibrary {
    std::string path;
    const Engine* engine = nullptr;
    std::string why;    // it cannot be used, and what to do; else empty
    std::string plain;  // that nothing is amiss: there is no driver, or someone hides all GPUs; else empty
};
// The library that $SLUICE_ENGINE names, or else libsluice_cuda.so beside the program, which is loaded only where a
// GPU's driver is. Found once.
const EngineLibrary& engine_library();
// libsluice_cuda.so, or what $SLUICE_ENGINE names, whatever drivers there are.
EngineLibrary load_engine_library();

// Collective. For `device: cuda` the library's engine, or one rank prints an error; `auto` takes it where every rank
// can, and else the CPU, and one rank tells why, if there is anything to tell. Where the engine needs GPUs, each rank
// gets one of its host's: ranks share one only with `parallel.communicator: staged`. Returns an exit code, as
// on_all_ranks(). explain: rank 0 prints what was chosen and why, also where nothing is amiss.
int choose_engine(const Config& config, Comm& comm, const Engine*& engine, bool explain = false);

// The GPU that choose_engine() gave to this process; null: none.
const Gpu* chosen_gpu();

// What CUDA_VISIBLE_DEVICES calls the GPUs that a run of this config may use, to divide them among several runs; empty
// where it uses none.
std::vector<std::string> names_of_gpus(const Config& config);

// The engine for what this process alone measures. Errors: Failure(Exit::config) where there is none.
const Engine& engine_of(const Config& config);

// In the program's main, before anything else: its own engine, which `cpu` means.
void set_cpu_engine(const Engine& engine);
const Engine& cpu_engine();

}  // namespace sluice
