#include "kernels/emu/touch.h"

#include "base/check.h"
#include "kernels/emu/emu.h"
#include "kernels/emu/queue.h"

namespace sluice::emu {

Toucher::Toucher(int64_t block) : self_(Device::get().number() << 16 | uint32_t(block % Touched::kMany)) {}

bool Toucher::comes_before(uint32_t task) {
    if (task == self_ >> 16 || !Device::get().knows(task)) return false;
    known_ = task;
    return true;
}

bool Toucher::refuse(const char* does, uint32_t mark, const char* did) {
    const uint32_t task = mark >> 16, block = mark & Touched::kMany;
    if (task == self_ >> 16) {
        const std::string who = block == Touched::kMany ? "other blocks" : "block " + std::to_string(block);
        why_ = std::string(does) + " device memory that " + who + " of the same launch " + did;
    } else {
        why_ = std::string(does) + " device memory that " + Device::get().name(task) + " on another stream " + did +
               ", with no event between";
    }
    return false;
}

void touch(const char* who, const void* p, size_t bytes, bool writes) {
    const DeviceMemory& memory = DeviceMemory::get();
    if (!memory.is_device(p) || !options().checks || options().blocks != Blocks::all) return;
    const Allocation* allocation = memory.find(p);
    sluice::check(allocation && allocation->contains(p, bytes), "a queued copy outlived its memory");
    Toucher toucher(0);
    if (!(writes ? toucher.may_write(*allocation, p, bytes) : toucher.may_read(*allocation, p, bytes)))
        fail(Exit::other, std::string(who) + " " + toucher.why());
}

}  // namespace sluice::emu
