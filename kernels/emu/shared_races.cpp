#include "kernels/emu/shared_races.h"

#include <cstdlib>
#include <new>

#include "kernels/emu/machine.h"
#include "kernels/emu/where.h"

namespace sluice::emu {

// Pages of zeros, which come into being when they are used.
SharedRaces::SharedRaces() : cells_(static_cast<Cell*>(std::calloc(size_t(kSharedArena) / 2 + 1, sizeof(Cell)))) {
    if (!cells_) throw std::bad_alloc();
}
SharedRaces::~SharedRaces() { std::free(cells_); }

bool SharedRaces::refuse(const char* does, const Moment& other, const char* did, const char* name) {
    const std::string at = where(other.site);
    why_ = std::string(does) + " shared memory that thread " + std::to_string(other.thread) + " " + did +
           (at.empty() ? "" : " at " + at) + ", with no barrier between (" + name + ")";
    return false;
}

bool SharedRaces::refuse_uninitialised() {
    why_ = "reads shared memory that was not written in this block (uninitialised)";
    return false;
}

}  // namespace sluice::emu
