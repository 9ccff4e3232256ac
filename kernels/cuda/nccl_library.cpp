#include "kernels/cuda/nccl_library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "kernels/nccl.h"
#ifdef SLUICE_EMULATED
#include "kernels/emu/emu.h"
#endif

namespace sluice {

std::string nccl_version_text(int version) {
    const int major = version < 10000 ? 1000 : 10000;  // 2804 is 2.8.4, and 20900 is 2.9.0
    return std::to_string(version / major) + "." + std::to_string(version % major / 100) + "." +
           std::to_string(version % 100);
}

std::string nccl_too_old(int version) {
    if (version >= kLeastNccl) return "";
    return "NCCL " + nccl_version_text(version) + " is too old: install " + nccl_version_text(kLeastNccl) + " or later";
}

NcclLibrary load_nccl(const char* path) {
    NcclLibrary library;
    void* const opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);  // for good: its threads outlive communicators
    if (!opened) {
        const std::string why = dlerror();
        library.why =
            why.find("cannot open shared object file: No such file") == why.npos
                ? "NCCL does not load: " + why + ": install it again"
                : "NCCL (" + std::string(path) + ") is not found: install it, or add its folder to LD_LIBRARY_PATH";
        return library;
    }
    library.GetVersion = reinterpret_cast<decltype(library.GetVersion)>(dlsym(opened, "ncclGetVersion"));
    int version = 0;
    if (library.GetVersion && library.GetVersion(&version) == ncclSuccess) library.why = nccl_too_old(version);
    const char* missing = nullptr;
#define SLUICE_NCCL_LOAD(name)                                                            \
    library.name = reinterpret_cast<decltype(library.name)>(dlsym(opened, "nccl" #name)); \
    if (!library.name) missing = "nccl" #name;
    SLUICE_NCCL_FUNCTIONS(SLUICE_NCCL_LOAD)
#undef SLUICE_NCCL_LOAD
    if (library.why.empty() && missing)
        library.why =
            std::string(path) + " lacks " + missing + ": install NCCL " + nccl_version_text(kLeastNccl) + " or later";
    return library;
}

namespace {

#ifdef SLUICE_EMULATED
NcclLibrary find_nccl() {
    NcclLibrary library;
#define SLUICE_NCCL_TAKE(name) library.name = nccl##name;
    SLUICE_NCCL_FUNCTIONS(SLUICE_NCCL_TAKE)
#undef SLUICE_NCCL_TAKE
    return library;
}
#else
NcclLibrary find_nccl() {
    // Communicators of one GPU must be launched in one order, which is that of the calls; and a race is an error.
    for (const char* name : {"NCCL_LAUNCH_ORDER_IMPLICIT", "NCCL_LAUNCH_RACE_FATAL"}) setenv(name, "1", 0);
    return load_nccl("libnccl.so.2");
}
#endif

}  // namespace

const NcclLibrary& nccl_library() {
    static const NcclLibrary library = find_nccl();
    return library;
}

template <class B>
std::string nccl_lacks([[maybe_unused]] bool one_process) {
#ifdef SLUICE_EMULATED
    if (!one_process) return "the emulator has NCCL between threads of one process alone";
    if (emu::options().nccl_version == 0) return load_nccl("libnccl_that_is_missing.so.2").why;
    return nccl_too_old(emu::options().nccl_version);
#else
    return nccl_library().why;
#endif
}

#define INSTANTIATE(B) template std::string nccl_lacks<B>(bool);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
