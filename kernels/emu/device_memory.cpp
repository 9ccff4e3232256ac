#include "kernels/emu/device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>

#include "kernels/emu/emu.h"
#include "kernels/emu/protect.h"
#include "kernels/emu/sanitizers.h"

namespace sluice::emu {
namespace {

// Address space is reserved, and memory comes with the first touch.
void* reserve(size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

size_t rounded_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

DeviceMemory& DeviceMemory::get() {
    static DeviceMemory* const memory = new DeviceMemory;  // outlives what frees memory as the program ends
    return *memory;
}

DeviceMemory::DeviceMemory() {
    reserved_ = size_t{1} << (kTsan ? 36 : 40);  // the thread sanitizer leaves little room
    while (!(base_ = static_cast<char*>(reserve(reserved_))) && reserved_ > kPage) reserved_ /= 2;
    owners_ = static_cast<uint32_t*>(reserve(reserved_ / kPage * sizeof(uint32_t)));
    if (!base_ || !owners_) throw std::bad_alloc();
}

size_t DeviceMemory::total() const {
    if (options().device_bytes) return options().device_bytes;
    return std::min(reserved_, size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)));
}

// The first hole that suffices.
size_t DeviceMemory::take(size_t bytes) {
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
        const auto [offset, room] = *hole;
        if (room < bytes) continue;
        holes_.erase(hole);
        if (room > bytes) holes_[offset + bytes] = room - bytes;
        return offset;
    }
    if (bytes > reserved_ - end_) return reserved_;
    end_ += bytes;
    return end_ - bytes;
}

// Neighbouring holes become one, so that there is room again for what is larger.
void DeviceMemory::give_back(size_t offset, size_t bytes) {
    auto hole = holes_.emplace(offset, bytes).first;
    const auto after = std::next(hole);
    if (after != holes_.end() && offset + bytes == after->first) {
        hole->second += after->second;
        holes_.erase(after);
    }
    if (hole == holes_.begin()) return;
    const auto before = std::prev(hole);
    if (before->first + before->second != offset) return;
    before->second += hole->second;
    holes_.erase(hole);
}

void* DeviceMemory::allocate(size_t bytes) {
    const size_t others = std::min(total(), options().taken_bytes);
    if (bytes > total() - others || used_ > total() - others - bytes) return nullptr;
    const size_t offset = take(rounded_up(bytes, kPage) + kGap);
    if (offset == reserved_) return nullptr;
    auto* touched = static_cast<Touched*>(reserve((bytes / 2 + 1) * sizeof(Touched)));
    if (!touched) return nullptr;
    uint32_t owner = uint32_t(allocations_.size()) + 1;
    if (free_owners_.empty()) {
        allocations_.emplace_back();
    } else {
        owner = free_owners_.back();
        free_owners_.pop_back();
    }
    char* const begin = base_ + offset;
    allocations_[owner - 1] = {begin, bytes, touched};
    std::fill_n(owners_ + offset / kPage, rounded_up(bytes, kPage) / kPage, owner);
    used_ += bytes;
    if (options().protect && !protects_) start_to_protect();
    if (protects_ && opened_ == 0) protect(true);
    return begin;
}

bool DeviceMemory::free(void* p) {
    const Allocation* found = find(p);
    if (!found || found->begin != p) return false;
    const Allocation freed = *found;
    const size_t offset = offset_of(p), pages = rounded_up(freed.bytes, kPage);
    const uint32_t owner = owners_[offset / kPage];
    std::fill_n(owners_ + offset / kPage, pages / kPage, 0);
    free_owners_.push_back(owner);
    allocations_[owner - 1] = {};
    if (pages > 0) madvise(p, pages, MADV_DONTNEED);
    munmap(freed.touched, (freed.bytes / 2 + 1) * sizeof(Touched));
    give_back(offset, pages + kGap);
    used_ -= freed.bytes;
    return true;
}

std::string DeviceMemory::describe(const void* p, size_t bytes) const {
    if (!is_device(p)) return "which is no device memory";
    const char* const at = static_cast<const char*>(p);
    const Allocation* nearest = nullptr;
    const auto distance = [&](const Allocation& a) { return at < a.begin ? a.begin - at : at - (a.begin + a.bytes); };
    for (const Allocation& a : allocations_)
        if (a.begin && (!nearest || std::abs(distance(a)) < std::abs(distance(*nearest)))) nearest = &a;
    if (!nearest) return "where nothing is allocated";
    const std::string of = " of an allocation of " + std::to_string(nearest->bytes) + " bytes";
    if (at < nearest->begin) return std::to_string(nearest->begin - at) + " bytes before the begin" + of;
    const ptrdiff_t past = at + bytes - (nearest->begin + nearest->bytes);
    return "ending " + std::to_string(past) + " bytes behind the end" + of;
}

void DeviceMemory::forget_touched() {
    for (const Allocation& a : allocations_)
        if (a.begin) madvise(a.touched, (a.bytes / 2 + 1) * sizeof(Touched), MADV_DONTNEED);
}

// ---------------------------------------------------------------- protection
void DeviceMemory::open() {
    if (opened_++ == 0 && protects_) protect(false);
}

void DeviceMemory::close() {
    if (--opened_ > 0) return;
    if (!options().protect && protects_) {
        protects_ = false;
        protect(false);
    } else if (options().protect && !protects_) {
        start_to_protect();
    }
    if (protects_) protect(true);
}

void DeviceMemory::start_to_protect() {
    protects_ = true;
    explain_host_access();
}

void DeviceMemory::protect(bool closed) {
    if (end_ > 0) mprotect(base_, end_, closed ? PROT_NONE : PROT_READ | PROT_WRITE);
}

}  // namespace sluice::emu
