#include "tensor/arena.h"

namespace sluice {

Arena::Arena(const char* what, size_t bytes, Memory& memory)
    : data_(static_cast<std::byte*>(memory.allocate(bytes)), Free{&memory}), bytes_(bytes) {
    if (!data_) fail_out_of_memory(bytes, what, memory);
}

}  // namespace sluice
