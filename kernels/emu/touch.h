// Races for device memory: between blocks of a launch, and between streams.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/emu/device_memory.h"

namespace sluice::emu {

// What is touched by the task that runs, or by a block of it. Each mark stands for two bytes: writes look at all of
// them, reads of four bytes and more at every other one, and large copies at one of kSparse.
class Toucher {
 public:
    static constexpr size_t kLarge = size_t{64} << 10, kSparse = 32;  // bytes, marks

    Toucher() = default;
    explicit Toucher(int64_t block);  // number of the block; a copy is one block

    bool may_read(const Allocation& allocation, const void* p, size_t bytes) {
        const size_t step = bytes > kLarge ? kSparse : bytes >= 4 ? 2 : 1;
        for (Touched *t = mark(allocation, p), *end = t + (bytes + 1) / 2; t < end; t += step) {
            if (races(t->writer)) [[unlikely]]
                return refuse("reads", t->writer, "wrote");
            if (t->reader == self_) continue;
            t->reader = t->reader >> 16 == self_ >> 16 ? t->reader | Touched::kMany : self_;
        }
        return true;
    }
    bool may_write(const Allocation& allocation, const void* p, size_t bytes) {
        const size_t step = bytes > kLarge ? kSparse : 1;
        for (Touched *t = mark(allocation, p), *end = t + (bytes + 1) / 2; t < end; t += step) {
            if (races(t->writer)) [[unlikely]]
                return refuse("writes", t->writer, "wrote");
            if (races(t->reader)) [[unlikely]]
                return refuse("writes", t->reader, "read");
            t->writer = self_;
        }
        return true;
    }
    const std::string& why() const { return why_; }  // after a false

 private:
    static Touched* mark(const Allocation& allocation, const void* p) {
        return allocation.touched + size_t(static_cast<const char*>(p) - allocation.begin) / 2;
    }
    // Whether what left the mark may happen at the same time.
    bool races(uint32_t mark) {
        return mark != 0 && mark != self_ && mark >> 16 != known_ && !comes_before(mark >> 16);
    }
    bool comes_before(uint32_t task);
    bool refuse(const char* does, uint32_t mark, const char* did);

    uint32_t self_ = 0;   // the mark that is left
    uint32_t known_ = 0;  // a task that is sure to come before
    std::string why_;
};

// What a task does that is no kernel: it reads or writes `bytes` bytes at p, where that is device memory. A Failure
// that begins with `who` where it races.
void touch(const char* who, const void* p, size_t bytes, bool writes);

}  // namespace sluice::emu
