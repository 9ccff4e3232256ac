// How the ranks of a run communicate between their devices: by NCCL where parallel.communicator lets it and every rank
// can, else through the host.
#pragma once
#include <string>

#include "base/check.h"
#include "config/specs.h"
#include "kernels/memory.h"
#include "parallel/nccl.h"

namespace sluice {

// Collective. Why the ranks cannot use NCCL, and what to do; the same on all of them. Empty where they can, and where
// they are of a CPU.
template <class B>
std::string why_no_nccl([[maybe_unused]] Comm& world) {
    if constexpr (B::kStorage == Storage::cpu)
        return "";
    else
        return why_no_nccl(world, [](bool one_process) { return nccl_lacks<B>(one_process); });
}

// Collective. For the mesh's constructor. Errors: Failure(Exit::config) on all ranks, where they are to use NCCL and
// cannot.
template <class B>
MakeGroup device_groups([[maybe_unused]] Comm& world, [[maybe_unused]] const ParallelSpec& parallel) {
    if constexpr (B::kStorage == Storage::cpu) {
        return nullptr;
    } else {
        if (world.size() == 1 || parallel.communicator == Communicator::staged) return nullptr;
        const std::string why = why_no_nccl<B>(world);
        if (why.empty()) return nccl_groups(open_nccl<B>(parallel.timeout), world, memory_of<B>(), parallel.timeout);
        if (parallel.communicator == Communicator::nccl) fail(Exit::config, "parallel.communicator: nccl: " + why);
        return nullptr;
    }
}

}  // namespace sluice
