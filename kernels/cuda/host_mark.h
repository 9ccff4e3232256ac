// A number that a stream leaves in the host's memory when it gets there, in a graph too: a thread of the host reads it
// while the device works.
#pragma once
#include <cstdint>

#include "kernels/backend.h"

namespace sluice {

class HostMark {
 public:
    HostMark();
    ~HostMark();
    HostMark(const HostMark&) = delete;
    HostMark& operator=(const HostMark&) = delete;

    // Queues the write. op: what it is told as in an error.
    void write(const char* op, Stream stream, int64_t number) const;
    int64_t read() const;  // 0 before the first write

 private:
    int64_t* number_ = nullptr;  // pinned
};

}  // namespace sluice
