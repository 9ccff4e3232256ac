// The mesh: ranks = data x tensor. The ranks of a tensor group are consecutive; an expert group is a run of consecutive
// data-parallel ranks.
//
//     rank = data_rank * tensor + tensor_rank;  expert_rank = data_rank % expert
//
// MeshCoord is the coordinate of one rank as plain numbers. Which slices a rank holds follows from it alone, so that
// plans need no communicators. Mesh adds the communicators.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/math.h"
#include "kernels/memory.h"
#include "parallel/comm.h"

namespace sluice {

struct Slice {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};
// slice_of: slice `index` of `total` elements, split into `parts` slices of equal size; the last ones may be smaller or
// empty. The one rule by which tensors, tokens and optimizer states are split.
inline Slice slice_of(int64_t total, int64_t parts, int64_t index) {
    const int64_t size = ceil_div(total, parts);
    return {std::min(total, index * size), std::min(total, (index + 1) * size)};
}

struct MeshCoord {
    int64_t data = 1, tensor = 1, expert = 1;  // ranks of a group
    bool sequence = false;                     // norms and residual hold a slice of the tokens
    int64_t data_rank = 0, tensor_rank = 0;
    // Only for plans: the experts' buffers are as large as balanced experts need, not as the worst case does.
    bool even_load = false;

    int64_t expert_rank() const { return data_rank % expert; }
    // How many data-parallel ranks hold the same experts, and this rank's index among them.
    int64_t expert_copies() const { return data / expert; }
    int64_t expert_copy() const { return data_rank / expert; }
    // The tokens of a pass that norms and residual hold on this rank; and how many that is on the rank with the most.
    Slice rows(int64_t tokens) const { return sequence ? slice_of(tokens, tensor, tensor_rank) : Slice{0, tokens}; }
    int64_t max_rows(int64_t tokens) const { return sequence ? ceil_div(tokens, tensor) : tokens; }
};

// The sizes of the groups, in ranks. `replicas`: ranks of a tensor group that hold the same key and value heads.
struct MeshShape {
    int64_t tensor = 1, expert = 1;
    bool sequence = false;
    int64_t replicas = 1;
};
MeshCoord mesh_coord(const MeshShape& shape, int64_t ranks, int64_t rank);

struct Mesh;
// Collective over the group. Makes the group of a device's memory from the same ranks' of the host's. name: "data".
using MakeGroup = std::function<std::unique_ptr<Comm>(std::unique_ptr<Comm> host, const char* name, const Mesh& mesh)>;

struct Mesh {
    // Collective over `world`. shape.tensor must divide its size, shape.expert the number of data-parallel ranks.
    // memory: what the groups' numbers lie in. make: the groups, where that is a device's; null: staged.h does.
    Mesh(Comm& world, const MeshShape& shape, Memory& memory = host_memory(), const MakeGroup& make = nullptr);
    Mesh(const Mesh&) = delete;
    Mesh& operator=(const Mesh&) = delete;

    MeshCoord coord;
    Stream stream;     // in whose order the groups act where their memory is a device's; whoever uses them sets it
    int64_t step = 0;  // of the run, for errors to name; whoever counts steps sets it
    Comm& world;       // all ranks; its numbers are in the host's memory, the groups' in the backend's
    std::unique_ptr<Comm> data;         // ranks with the same slice of every tensor but the experts
    std::unique_ptr<Comm> tensor;       // ranks that split each layer among themselves
    std::unique_ptr<Comm> replicas;     // ranks of the tensor group with the same key and value heads
    std::unique_ptr<Comm> expert;       // ranks of the data group that split the experts among themselves
    std::unique_ptr<Comm> expert_data;  // ranks with the same slice of the experts
    // With sequence parallelism partial sums are reduce-scattered over `sequence`, else all-reduced over `hidden`: one
    // of them is the tensor group, and the other this rank alone.
    std::unique_ptr<Comm> sequence, hidden;

    bool only_queues() const;  // as Comm's: all groups but `world`
    void finish();             // of all groups
    void require() const;      // of all groups
};

// A mesh of one rank; each thread has its own.
Mesh& solo_mesh(Memory& memory = host_memory());

}  // namespace sluice
