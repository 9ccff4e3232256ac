#include "engine/choose.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/machine.h"
#include "base/version.h"
#include "cli/terminal.h"
#include "engine/driver.h"
#include "kernels/capability.h"
#include "parallel/collective.h"

namespace sluice {
namespace {

const Engine* built_in = nullptr;
const Gpu* gpu_of_this_process = nullptr;

const char* named_engine() {
    const char* const named = std::getenv("SLUICE_ENGINE");
    return named && *named ? named : nullptr;
}

// The entry points of an engine's library: its version and commit must be the program's, since they share types.
using Version = const char*();
using Entry = const Engine*();

// Why a library does not load, as the loader tells it: often another one that it needs is not there.
std::string cannot_load(const std::string& why) {
    const size_t missing = why.find(": cannot open shared object file: No such file");
    const std::string needed = why.substr(0, std::min(missing, why.size()));
    if (missing == why.npos || needed.find('/') != needed.npos) return "cannot load the engine: " + why;
    return "the engine needs " + needed + ", which is not found: install it, or add its folder to LD_LIBRARY_PATH";
}

// ---------------------------------------------------------------- what this process has
std::vector<int> usable_gpus() {  // their indices
    std::vector<int> usable;
    for (size_t i = 0; i < driver().gpus.size(); i++)
        if (driver().gpus[i].capability >= kLeastCapability) usable.push_back(int(i));
    return usable;
}

// Why an engine that is built with this release of CUDA cannot use what the driver has; or empty.
std::string driver_lacks(int cuda) {
    const Driver& has = driver();
    const int needed = cuda / 1000 * 1000;  // within a major release any driver runs any engine
    if (has.cuda > 0 && has.cuda < needed)
        return "the GPU driver is for CUDA " + cuda_text(has.cuda) + ", and the engine needs " + cuda_text(needed) +
               ": install driver release 580 or later";
    if (!has.why.empty()) return has.why;
    if (usable_gpus().empty())
        return has.gpus[0].name + " is sm_" + std::to_string(has.gpus[0].capability) + ", and the engine needs sm_" +
               std::to_string(kLeastCapability) + " (A100) or later: use another GPU";
    return "";
}

EngineLibrary find() {
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (!named_engine() && visible && (!*visible || std::string_view(visible) == "-1"))
        return {"", nullptr, "CUDA_VISIBLE_DEVICES hides all GPUs: unset it", "CUDA_VISIBLE_DEVICES hides all GPUs"};
    if (!named_engine() && !driver().installed) return {"", nullptr, driver().why, "no GPU driver is installed"};
    EngineLibrary library = load_engine_library();
    if (library.engine && library.engine->cuda() > 0) library.why = driver_lacks(library.engine->cuda());
    if (!library.engine && !named_engine() && !driver().why.empty()) library.why = driver().why;  // first things first
    if (!library.why.empty()) library.engine = nullptr;
    return library;
}

// ---------------------------------------------------------------- what all ranks have
int64_t hash_of(const std::string& text) {
    Hash hash;
    hash.add(text);
    return int64_t(std::stoull(hash.hex().substr(0, 16), nullptr, 16));
}

std::vector<int64_t> gathered(Comm& comm, int64_t mine) {
    std::vector<int64_t> all(size_t(comm.size()));
    comm.all_gather(all.data(), &mine, 1);
    return all;
}

// The GPU of this rank, and whether it is another one's too.
struct Seat {
    int gpu = 0;
    int64_t ranks = 1, gpus = 1;  // of the first host where ranks share GPUs: how many have how many
    bool shared() const { return gpus < ranks; }
};
// Collective. Ranks of a host take its GPUs in turn; each may see the same ones or, as some launchers do it, its own.
Seat take_seat(Comm& comm) {
    const std::vector<int64_t> hosts = gathered(comm, hash_of(host_name()));
    const auto rank = comm.rank();
    const std::vector<int> usable = usable_gpus();
    const size_t local = size_t(std::count(hosts.begin(), hosts.begin() + rank, hosts[size_t(rank)]));
    Seat seat;
    seat.gpu = usable[local % usable.size()];
    const std::vector<int64_t> gpus = gathered(comm, hash_of(driver().gpus[size_t(seat.gpu)].id));
    for (const int64_t host : hosts) {
        std::vector<int64_t> taken;
        for (size_t r = 0; r < hosts.size(); r++)
            if (hosts[r] == host) taken.push_back(gpus[r]);
        seat.ranks = int64_t(taken.size());
        std::sort(taken.begin(), taken.end());
        seat.gpus = std::unique(taken.begin(), taken.end()) - taken.begin();
        if (seat.shared()) break;
    }
    return seat;
}

std::string too_few(const Seat& seat) {
    return std::to_string(seat.ranks) + " ranks of a host have " + std::to_string(seat.gpus) +
           (seat.gpus == 1 ? " GPU" : " GPUs") + ": start at most one rank a GPU, or let ranks share them by " +
           "parallel.communicator=staged";
}

std::string chosen(const Seat& seat) {
    const Driver& has = driver();
    return has.gpus[size_t(seat.gpu)].name + " (GPU " + std::to_string(seat.gpu) + " of " +
           std::to_string(has.gpus.size()) + "), driver for CUDA " + cuda_text(has.cuda);
}

bool synchronous() {
    const char* const asked = std::getenv("SLUICE_CUDA_SYNC");
    return asked && *asked && std::string_view(asked) != "0";
}

// Collective. Says where ranks must pass through the host what NCCL would move.
int check_communicator(const Config& config, Comm& comm, const Engine& engine) {
    if (comm.size() == 1 || config.parallel.communicator == Communicator::staged) return 0;
    const std::string why = engine.why_no_nccl(comm);  // the same on all ranks
    if (why.empty()) return 0;
    if (config.parallel.communicator == Communicator::nccl)
        return on_all_ranks(comm, [&] { fail(Exit::config, "parallel.communicator: nccl: " + why); });
    if (comm.rank() == 0) print_warning("parallel.communicator: staged, since " + why);
    return 0;
}

// Collective. The engine of a library that every rank has.
int open_engine(const Config& config, Comm& comm, const Engine*& engine, bool explain) {
    const Engine& loaded = *engine_library().engine;
    Seat seat;
    if (loaded.cuda() > 0) seat = take_seat(comm);
    if (seat.shared() && config.parallel.communicator != Communicator::staged) {
        if (config.device == Device::cuda)
            return on_all_ranks(comm, [&] { fail(Exit::config, "device: cuda: " + too_few(seat)); });
        if (comm.rank() == 0) print_warning("device: cpu, since " + too_few(seat));
        engine = built_in;
        return 0;
    }
    engine = &loaded;
    if (loaded.cuda() > 0) gpu_of_this_process = &driver().gpus[size_t(seat.gpu)];
    if (explain && comm.rank() == 0 && loaded.cuda() > 0) print_line("device cuda: " + chosen(seat));
    const int failed = on_all_ranks(comm, [&] { loaded.use_device(seat.gpu, synchronous()); });
    return failed ? failed : check_communicator(config, comm, loaded);
}

}  // namespace

EngineLibrary load_engine_library() {
    EngineLibrary library;
    library.path = named_engine() ? named_engine() : (program_folder() / "libsluice_cuda.so").string();
    if (!named_engine() && !std::filesystem::exists(library.path)) {
        library.why = "this build has no engine for GPUs: build where nvcc, cuBLAS, cuDNN and NCCL are (docs/gpu.md)";
        return library;
    }
    // A name without a folder is a file's too: the loader would look for it among its libraries.
    std::error_code error;
    const std::filesystem::path file = std::filesystem::absolute(library.path, error);
    if (!std::filesystem::exists(file, error)) {
        library.why = "cannot load the engine: there is no file " + file.string() + ", which SLUICE_ENGINE names";
        return library;
    }
    void* const opened = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!opened) {
        library.why = cannot_load(dlerror());
        return library;
    }
    const auto version_of = reinterpret_cast<Version*>(dlsym(opened, "sluice_engine_version"));
    const auto entry = reinterpret_cast<Entry*>(dlsym(opened, "sluice_engine"));
    if (!version_of || !entry)
        library.why = library.path + " is no engine of sluice: it lacks sluice_engine";
    else if (std::string_view(version_of()) != build())
        library.why =
            library.path + " is an engine of sluice " + version_of() + ", and this is " + build() + ": build both anew";
    else
        library.engine = entry();
    return library;
}

const EngineLibrary& engine_library() {
    static const EngineLibrary library = find();
    return library;
}

const Gpu* chosen_gpu() { return gpu_of_this_process; }

std::vector<std::string> names_of_gpus(const Config& config) {
    const bool needed = config.device != Device::cpu && engine_library().engine && engine_library().engine->cuda() > 0;
    if (!needed) return {};
    // The driver counts those that the variable names, in its order.
    std::vector<std::string> visible, names;
    if (const char* const variable = std::getenv("CUDA_VISIBLE_DEVICES")) {
        std::istringstream list(variable);
        for (std::string name; std::getline(list, name, ',');) visible.push_back(name);
    }
    for (const int gpu : usable_gpus())
        names.push_back(size_t(gpu) < visible.size() ? visible[size_t(gpu)] : std::to_string(gpu));
    return names;
}

int choose_engine(const Config& config, Comm& comm, const Engine*& engine, bool explain) {
    engine = built_in;
    if (config.device == Device::cpu) return 0;
    const EngineLibrary& library = engine_library();
    if (config.device == Device::cuda) {
        const int failed = on_all_ranks(comm, [&] {
            if (!library.engine) fail(Exit::config, "device: cuda: " + library.why + "; or compute with device: cpu");
        });
        return failed ? failed : open_engine(config, comm, engine, explain);
    }
    const std::vector<int64_t> lacks = gathered(comm, !library.engine);
    const auto first = std::find(lacks.begin(), lacks.end(), 1);
    if (first == lacks.end()) return open_engine(config, comm, engine, explain);
    if (first - lacks.begin() != comm.rank()) return 0;
    if (library.plain.empty() || comm.rank() > 0)  // another rank has what this one lacks
        print_warning("device: cpu, since " + (comm.rank() > 0 ? "on " + host_name() + ": " : "") + library.why);
    else if (explain)
        print_line("device cpu: " + library.plain);
    return 0;
}

const Engine& engine_of(const Config& config) {
    if (config.device == Device::cpu) return *built_in;
    const EngineLibrary& library = engine_library();
    if (library.engine) return *library.engine;
    if (config.device == Device::cuda) fail(Exit::config, "device: cuda: " + library.why);
    return *built_in;
}

void set_cpu_engine(const Engine& engine) { built_in = &engine; }
const Engine& cpu_engine() { return *built_in; }

}  // namespace sluice
