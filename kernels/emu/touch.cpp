#include "kernels/emu/touch.h"

#include "kernels/emu/queue.h"

namespace sluice::emu {

Toucher::Toucher(int64_t block) : self_(Device::get().number() << 16 | uint32_t(block % Touched::kMany)) {}

bool Toucher::comes_before(uint32_t task) {
    if (task == self_ >> 16 || !Device::get().knows(task)) return false;
    known_ = task;
    return true;
}

bool Toucher::refuse(const char* does, uint32_t mark, const char* did) {
    const uint32_t task = mark >> 16, block = mark & Touched::kMany;
    if (task == self_ >> 16) {
        const std::string who = block == Touched::kMany ? "other blocks" : "block " + std::to_string(block);
        why_ = std::string(does) + " device memory that " + who + " of the same launch " + did;
    } else {
        why_ = std::string(does) + " device memory that " + Device::get().name(task) + " on another stream " + did +
               ", with no event between";
    }
    return false;
}

}  // namespace sluice::emu
