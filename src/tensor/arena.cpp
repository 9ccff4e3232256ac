#include "tensor/arena.h"

#include "base/check.h"

namespace sluice {

Arena::Arena(const char* what, size_t bytes, Memory& memory)
    : data_(static_cast<std::byte*>(memory.allocate(bytes)), Free{&memory}), bytes_(bytes) {
    if (!data_)
        fail(Exit::out_of_memory, std::string("out of memory: ") + what + " needs " + std::to_string(bytes) +
                                      " bytes; lower train.micro_batch or set train.recompute: block");
}

}  // namespace sluice
