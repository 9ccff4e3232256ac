#include "kernels/emu/protect.h"

#include <signal.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/emu/device_memory.h"
#include "kernels/emu/where.h"

namespace sluice::emu {
namespace {

struct sigaction before;

void explain(int signal, siginfo_t* info, void* context) {
    if (!DeviceMemory::get().is_device(info->si_addr)) {
        sigaction(signal, &before, nullptr);  // the instruction is tried again, and meets who was here before
        return;
    }
    const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
    const bool write = registers[REG_ERR] & 2;
    std::string at = where_the_host_is(reinterpret_cast<const void*>(registers[REG_RIP]));
    std::fprintf(stderr, "host %s of device memory at %p%s%s\n", write ? "write" : "read", info->si_addr,
                 at.empty() ? "" : ", ", at.c_str());
    std::abort();
}

}  // namespace

void explain_host_access() {
    static const bool once = [] {
        struct sigaction action = {};
        action.sa_sigaction = explain;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGSEGV, &action, &before) == 0;
    }();
    (void)once;
}

}  // namespace sluice::emu
