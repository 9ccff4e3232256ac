// Pinned memory of the host: what copies need not stop for, and kernels may use. Used under the device's lock.
#pragma once
#include <cstddef>

namespace sluice::emu {

void* allocate_pinned(size_t bytes);  // null: there is not so much
bool free_pinned(void* p);            // false: nothing begins there
bool is_pinned(const void* p, size_t bytes = 1);

}  // namespace sluice::emu
