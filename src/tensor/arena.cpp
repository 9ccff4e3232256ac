#include "tensor/arena.h"

#include <cstdlib>

#include "base/check.h"

namespace sluice {

void Arena::Free::operator()(std::byte* p) const { std::free(p); }

Arena::Arena(const char* what, size_t bytes) : bytes_(bytes) {
    const size_t rounded = std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
    if (!data_)
        fail(Exit::out_of_memory, std::string("out of memory: ") + what + " needs " + std::to_string(bytes) +
                                      " bytes; lower train.micro_batch or set train.recompute: block");
    std::fill(data_.get(), data_.get() + rounded, std::byte{0});  // touch the pages now, not in the first step
}

}  // namespace sluice
