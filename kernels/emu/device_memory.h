// Device memory: a range of addresses of the host that nothing else lies in, of which allocations take pages. With the
// option `protect` the host cannot read it, as it can no GPU's, but while kernels and copies run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::emu {

// Who touched two bytes of device memory last: a task's number (runtime's, 16 bits) and a block's (16 bits), or kMany
// blocks of that task. 0: nobody.
struct Touched {
    uint32_t writer, reader;
    static constexpr uint32_t kMany = 0xffff;
};

struct Allocation {
    char* begin = nullptr;
    size_t bytes = 0;
    Touched* touched = nullptr;  // of each two bytes; pages of it come into being when they are used
    bool contains(const void* p, size_t size) const {
        const size_t at = size_t(static_cast<const char*>(p) - begin);
        return at <= bytes && size <= bytes - at;
    }
};

class DeviceMemory {
 public:
    static DeviceMemory& get();

    void* allocate(size_t bytes);  // null where there is not so much
    bool free(void* p);            // false where p is no allocation
    size_t total() const;
    size_t used() const { return used_; }

    bool is_device(const void* p) const { return offset_of(p) < reserved_; }
    const Allocation* find(const void* p) const {
        const size_t offset = offset_of(p);
        return offset < reserved_ ? allocation_of(owners_[offset / kPage]) : nullptr;
    }
    // "is 8 bytes behind the end of an allocation of 400 bytes": why `bytes` bytes at p are no device memory.
    std::string describe(const void* p, size_t bytes) const;
    void forget_touched();  // of all allocations

    // While any Open is there, the host can read and write device memory.
    class Open {
     public:
        Open() { get().open(); }
        ~Open() { get().close(); }
        Open(const Open&) = delete;
        Open& operator=(const Open&) = delete;
    };

 private:
    // Bytes: what allocations take whole ones of, and what lies between them at least.
    static constexpr size_t kPage = size_t{64} << 10, kGap = kPage;
    DeviceMemory();
    size_t offset_of(const void* p) const { return size_t(static_cast<const char*>(p) - base_); }
    const Allocation* allocation_of(uint32_t owner) const { return owner ? &allocations_[owner - 1] : nullptr; }
    size_t take(size_t bytes);  // an offset; reserved_ where there is no room
    void give_back(size_t offset, size_t bytes);
    void open();
    void close();
    void start_to_protect();
    void protect(bool closed);

    char* base_ = nullptr;
    size_t reserved_ = 0, used_ = 0, end_ = 0;
    uint32_t* owners_ = nullptr;  // of each page: 1 + an index of allocations_; 0: nobody's
    std::vector<Allocation> allocations_;
    std::vector<uint32_t> free_owners_;
    std::map<size_t, size_t> holes_;  // of freed memory: offset, bytes
    int opened_ = 0;
    bool protects_ = false;
};

}  // namespace sluice::emu
