#include "kernels/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/format.h"
#include "base/machine.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;  // of x86-64

class HostMemory final : public Memory {
    const char* name() const override { return "memory"; }
    Room room(int ranks) const override {
        const MachineMemory memory = machine_memory(ranks);
        return {memory.total, memory.free, memory.limit};
    }
    size_t beside() const override { return 0; }
    void* allocate(size_t bytes) override {
        const size_t alignment = bytes < kHugePage ? kAlignment : kHugePage;
        const size_t rounded = std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
        void* p = nullptr;
        if (posix_memalign(&p, alignment, rounded) != 0) return nullptr;
        // Fewer entries for the CPU to look addresses up in; where the system has none of them, small ones serve.
        if (bytes >= kHugePage) madvise(p, rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
        std::memset(p, 0, rounded);  // touches the pages now, not in the first step
        return p;
    }
    void free(void* p) override { std::free(p); }
    void zero(Stream, void* to, size_t bytes) override {
        if (bytes == 0) return;
        const Timed timed(__func__, moved<char>(1, int64_t(bytes), 1));
        constexpr size_t kChunk = size_t{1} << 18;
#pragma omp parallel for schedule(static) if (bytes > kChunk)
        for (size_t at = 0; at < bytes; at += kChunk)
            std::memset(static_cast<char*>(to) + at, 0, std::min(kChunk, bytes - at));
    }
    void copy(Stream, void* to, const void* from, size_t bytes) override {
        if (bytes > 0) std::memcpy(to, from, bytes);
    }
    void to_device(Stream, void* to, const void* host, size_t bytes) override {
        if (bytes > 0) std::memcpy(to, host, bytes);
    }
    void to_host(Stream, void* host, const void* from, size_t bytes) override {
        if (bytes > 0) std::memcpy(host, from, bytes);
    }
    Stream open_stream() override { return {}; }
    void close_stream(Stream) override {}
    void drain(Stream) override {}
};

}  // namespace

Memory& host_memory() {
    static HostMemory memory;
    return memory;
}

void fail_out_of_memory(size_t bytes, const std::string& for_what, const Memory& memory) {
    const Room room = memory.room(1);
    fail(Exit::out_of_memory, "out of memory: " + format_bytes(double(bytes)) + " of " + memory.name() + " for " +
                                  for_what + ", and " + format_bytes(double(room.free)) + " of " +
                                  format_bytes(double(room.total)) + " are free");
}

}  // namespace sluice
