#include "kernels/emu/watch.h"

#include <cstdint>
#include <cstdio>
#include <string>

#include "kernels/emu/device_memory.h"
#include "kernels/emu/machine.h"
#include "kernels/emu/pinned.h"
#include "kernels/emu/sanitizers.h"
#include "kernels/emu/where.h"

namespace sluice::emu {
namespace {

std::string access(const char* does, int bytes, const void* p) {
    char address[32];
    std::snprintf(address, sizeof(address), "%p", p);
    return std::string(does) + " " + std::to_string(bytes) + " bytes at " + address;
}

void check_alignment(Machine& machine, const char* does, const void* p, int bytes, int aligned, const void* site) {
    if (reinterpret_cast<uintptr_t>(p) % uintptr_t(aligned) != 0) [[unlikely]]
        machine.fault(access(does, bytes, p) + ": misaligned", where(site));
}

void device(const void* p, int bytes, int aligned, bool writes, const void* site) {
    const Unseen unseen;
    Machine& machine = Machine::at_work();
    const char* const does = writes ? "writes" : "reads";
    if (machine.checks()) {
        const DeviceMemory& memory = machine.memory();
        const Allocation* allocation = memory.find(p);
        if (!allocation || !allocation->contains(p, size_t(bytes))) [[unlikely]]
            machine.fault(access(does, bytes, p) + " out of bounds, " + memory.describe(p, size_t(bytes)), where(site));
        check_alignment(machine, does, p, bytes, aligned, site);
        Toucher& toucher = machine.toucher();
        if (!(writes ? toucher.may_write(*allocation, p, size_t(bytes))
                     : toucher.may_read(*allocation, p, size_t(bytes)))) [[unlikely]]
            machine.fault(toucher.why(), where(site));
    }
    if (machine.counter()) [[unlikely]]
        machine.counter()->device(machine, p, bytes, writes, site);
}

void host(const void* p, int bytes, int aligned, const void* site) {
    const Unseen unseen;
    Machine& machine = Machine::at_work();
    if (!machine.checks()) return;
    if (!is_pinned(p, size_t(bytes))) [[unlikely]]
        machine.fault(access("writes", bytes, p) + " of the host, which are not pinned", where(site));
    check_alignment(machine, "writes", p, bytes, aligned, site);
}

void shared(const void* p, int bytes, int aligned, bool writes, const void* site) {
    const Unseen unseen;
    Machine& machine = Machine::at_work();
    const char* const does = writes ? "writes" : "reads";
    const int64_t offset = static_cast<const char*>(p) - machine.shared;
    if (machine.checks()) {
        if (!machine.is_shared(offset, bytes)) [[unlikely]]
            machine.fault(access(does, bytes, p) + " out of bounds of every shared array", where(site));
        check_alignment(machine, does, p, bytes, aligned, site);
        const Moment now{machine.barriers(), uint16_t(machine.warp_barriers(machine.thread)), uint16_t(machine.thread),
                         site};
        SharedRaces& races = machine.races();
        if (!(writes ? races.may_write(now, offset, bytes)
                     : races.may_read(now, machine.first_barrier(), offset, bytes))) [[unlikely]]
            machine.fault(races.why(), where(site));
    }
    if (machine.counter()) [[unlikely]]
        machine.counter()->shared(machine, p, bytes, site);
}

}  // namespace

void watch_device_read(const void* p, int bytes, int aligned) {
    device(p, bytes, aligned, false, __builtin_return_address(0));
}
void watch_device_write(const void* p, int bytes, int aligned) {
    device(p, bytes, aligned, true, __builtin_return_address(0));
}
void watch_host_write(const void* p, int bytes, int aligned) { host(p, bytes, aligned, __builtin_return_address(0)); }
void watch_shared_read(const void* p, int bytes, int aligned) {
    shared(p, bytes, aligned, false, __builtin_return_address(0));
}
void watch_shared_write(const void* p, int bytes, int aligned) {
    shared(p, bytes, aligned, true, __builtin_return_address(0));
}

}  // namespace sluice::emu
