// Groups of a mesh whose ranks have a GPU each: NCCL moves their numbers from one to another. Groups of the same ranks
// share a communicator. A thread watches it: where a collective does not come about within the time limit, or NCCL
// reports an error, it prints one line and ends all ranks with Exit::peer_lost.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "kernels/nccl.h"
#include "parallel/mesh.h"

namespace sluice {

// Collective. Why the ranks cannot use NCCL, and what to do; of the lowest rank that cannot, with its host where that
// is not rank 0's. Empty where all can. lacks(one_process): of this rank.
std::string why_no_nccl(Comm& world, const std::function<std::string(bool one_process)>& lacks);

// What makes a mesh's groups by NCCL: those of more than one rank. `world` must outlive them.
// Collectives are in the order of the mesh's stream, as it then is, and make the host wait for nothing; started ones
// run beside it. Sums have one order for the same ranks and sizes; those of bf16 are rounded at each rank on the way.
// timeout: seconds after which a collective that does not go on ends all ranks.
MakeGroup nccl_groups(std::unique_ptr<Nccl> nccl, Comm& world, Memory& memory, double timeout);

}  // namespace sluice
