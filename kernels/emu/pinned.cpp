#include "kernels/emu/pinned.h"

#include <cstdlib>
#include <map>

#include "kernels/emu/emu.h"

namespace sluice::emu {
namespace {

constexpr size_t kPage = 4096;  // bytes

std::map<const char*, size_t>& pinned() {
    static auto* const ranges = new std::map<const char*, size_t>;
    return *ranges;
}

}  // namespace

void* allocate_pinned(size_t bytes) {
    size_t taken = bytes;
    for (const auto& [begin, size] : pinned()) taken += size;
    if (options().pinned_bytes && taken > options().pinned_bytes) return nullptr;
    void* const allocated = std::aligned_alloc(kPage, (bytes + kPage) / kPage * kPage);
    if (allocated) pinned()[static_cast<char*>(allocated)] = bytes;
    return allocated;
}

bool free_pinned(void* p) {
    if (pinned().erase(static_cast<char*>(p)) == 0) return false;
    std::free(p);
    return true;
}

bool is_pinned(const void* p, size_t bytes) {
    const auto* at = static_cast<const char*>(p);
    auto range = pinned().upper_bound(at);
    return range != pinned().begin() && at + bytes <= (--range)->first + range->second;
}

}  // namespace sluice::emu
