#include "engine/choose.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/machine.h"
#include "base/version.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

const Engine* cpu_engine = nullptr;

struct Library {
    const Engine* engine = nullptr;
    std::string why;  // it could not be loaded; empty where nothing was to load
};

// The entry points of an engine's library: its version and commit must be the program's, since they share types.
using Version = const char*();
using Entry = const Engine*();

Library load(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return {nullptr, "cannot load the engine: " + std::string(dlerror())};
    const auto version_of = reinterpret_cast<Version*>(dlsym(library, "sluice_engine_version"));
    const auto entry = reinterpret_cast<Entry*>(dlsym(library, "sluice_engine"));
    if (!version_of || !entry) return {nullptr, path + " is no engine of sluice: it lacks sluice_engine"};
    if (std::string_view(version_of()) != build())
        return {nullptr, path + " is an engine of sluice " + version_of() + ", and this is " + build()};
    return {entry(), ""};
}

// Whether a driver is installed: a millisecond where none is.
bool has_driver() {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver) dlclose(driver);
    return driver;
}

Library find(Device device) {
    if (const char* named = std::getenv("SLUICE_ENGINE"); named && *named) return load(named);
    if (!has_driver()) return {nullptr, device == Device::cuda ? "no GPU driver (libcuda.so.1) is installed" : ""};
    return load((program_folder() / "libsluice_cuda.so").string());
}

}  // namespace

void set_cpu_engine(const Engine& engine) { cpu_engine = &engine; }

const Engine& engine_of(const Config& config, int rank) {
    if (config.device == Device::cpu) return *cpu_engine;
    static const Library loaded = find(config.device);
    if (loaded.engine) return *loaded.engine;
    if (config.device == Device::cuda) fail(Exit::config, "device: cuda: " + loaded.why + ": use cpu or auto");
    static bool told = loaded.why.empty();
    if (!std::exchange(told, true) && rank == 0) print_warning("device: cpu, since " + loaded.why);
    return *cpu_engine;
}

}  // namespace sluice
