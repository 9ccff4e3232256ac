// Communicators for ranks whose tensors lie in a device's memory: what they send and receive passes through the host's.
#pragma once
#include <memory>

#include "kernels/memory.h"
#include "parallel/comm.h"

namespace sluice {

// A communicator of `memory`, over one of the host's with the same ranks. It is in the order of *stream: it waits for
// what was queued before, and what is queued after sees its results. Ranks alone only copy within the device, and never
// wait. Sums of bf16 are formed in float and rounded once. `stream` must outlive it.
std::unique_ptr<Comm> staged_comm(std::unique_ptr<Comm> host, Memory& memory, const Stream* stream);

}  // namespace sluice
