// What looks at every access of a kernel: bounds, alignment, races, traffic. Each finds the place in the kernel by the
// address that it returns to, and so is called from what is inlined there, and never inlined itself.
#pragma once

namespace sluice::emu {

// An access of `bytes` bytes, which a GPU does in parts of `aligned` bytes where they are fewer: p must be a
// multiple of these.
[[gnu::noinline]] void watch_device_read(const void* p, int bytes, int aligned);
[[gnu::noinline]] void watch_device_write(const void* p, int bytes, int aligned);
[[gnu::noinline]] void watch_host_write(const void* p, int bytes, int aligned);
[[gnu::noinline]] void watch_shared_read(const void* p, int bytes, int aligned);
[[gnu::noinline]] void watch_shared_write(const void* p, int bytes, int aligned);

}  // namespace sluice::emu
