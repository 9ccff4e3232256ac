// The mesh: ranks = data x tensor, tensor ranks next to each other; expert groups are cut from the data dimension.
//
//     rank = data_rank * tensor + tensor_rank;  expert_rank = data_rank % expert
//
// Place is one rank's position as plain numbers: it tells what a rank holds, without a communicator, so that plans need
// none. Mesh adds the groups.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "parallel/comm.h"

namespace sluice {

// Part `index` of `total` things in order, cut into parts of equal size but for the last ones, which may be smaller or
// empty. The one rule by which tensors, tokens and optimizer states are cut.
struct Part {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};
inline int64_t largest_part(int64_t total, int64_t parts) { return (total + parts - 1) / parts; }
inline Part part_of(int64_t total, int64_t parts, int64_t index) {
    const int64_t size = largest_part(total, parts);
    return {std::min(total, index * size), std::min(total, (index + 1) * size)};
}

struct Place {
    int64_t data = 1, tensor = 1, expert = 1;  // sizes
    bool sequence = false;                     // norms and residual hold a part of the tokens
    int64_t data_rank = 0, tensor_rank = 0;
    // For plans alone: room for experts' rows as if every expert got equally many, and not for the worst case.
    bool even_load = false;

    int64_t expert_rank() const { return data_rank % expert; }
    // Ranks with the same experts, and this one's number among them.
    int64_t expert_copies() const { return data / expert; }
    int64_t expert_copy() const { return data_rank / expert; }
    // Of the tokens of a pass, those that norms and residual hold here.
    Part rows(int64_t tokens) const { return sequence ? part_of(tokens, tensor, tensor_rank) : Part{0, tokens}; }
    int64_t most_rows(int64_t tokens) const { return sequence ? largest_part(tokens, tensor) : tokens; }
};

// What ranks cut: sizes of the groups. `replicas`: ranks of a tensor group that hold the same key and value heads.
struct MeshShape {
    int64_t tensor = 1, expert = 1;
    bool sequence = false;
    int64_t replicas = 1;
};
Place place_of(const MeshShape& shape, int64_t ranks, int64_t rank);

struct Mesh {
    // Collective over `world`, whose size tensor divides; expert divides the data ranks.
    Mesh(Comm& world, const MeshShape& shape);

    Place place;
    Comm& world;
    std::unique_ptr<Comm> data;         // ranks with the same part of every tensor but the experts
    std::unique_ptr<Comm> tensor;       // ranks that share each layer
    std::unique_ptr<Comm> replicas;     // of those, ranks with the same key and value heads
    std::unique_ptr<Comm> expert;       // ranks that share the experts
    std::unique_ptr<Comm> expert_data;  // ranks with the same part of the experts
    std::unique_ptr<Comm> sequence;     // ranks that share the tokens of norms and residual: tensor's, or this one
    std::unique_ptr<Comm> hidden;       // ranks whose partial sums meet without that: this one, or tensor's
};

// A mesh of this rank alone: one a thread.
Mesh& solo_mesh();

}  // namespace sluice
