#include "parallel/mesh.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/check.h"
#include "parallel/staged.h"

namespace sluice {

MeshCoord mesh_coord(const MeshShape& n, int64_t ranks, int64_t rank) {
    MeshCoord coord;
    coord.tensor = n.tensor;
    coord.expert = n.expert;
    coord.data = ranks / n.tensor;
    coord.sequence = n.sequence;
    coord.data_rank = rank / n.tensor;
    coord.tensor_rank = rank % n.tensor;
    return coord;
}

// All of a mesh, const or not, with their names.
template <class M>
static auto groups_of(M& mesh) {
    using Group = std::pair<decltype(&mesh.data), const char*>;
    return std::array<Group, 7>{{{&mesh.data, "data"},
                                 {&mesh.tensor, "tensor"},
                                 {&mesh.replicas, "replicas"},
                                 {&mesh.expert, "expert"},
                                 {&mesh.expert_data, "expert_data"},
                                 {&mesh.sequence, "sequence"},
                                 {&mesh.hidden, "hidden"}}};
}

Mesh::Mesh(Comm& everyone, const MeshShape& n, Memory& memory, const MakeGroup& make)
    : coord(mesh_coord(n, everyone.size(), everyone.rank())), world(everyone) {
    check(world.size() % n.tensor == 0 && coord.data % n.expert == 0 && n.tensor % n.replicas == 0,
          "a mesh that does not fit its ranks");
    // Ranks that give the same color are one group; `alone` is a color that no other rank gives.
    const int tensor_rank = int(coord.tensor_rank), alone = world.rank();
    data = world.split(tensor_rank);
    tensor = world.split(int(coord.data_rank));
    replicas = world.split(world.rank() / int(n.replicas));
    expert = data->split(int(coord.expert_copy()));
    expert_data = data->split(int(coord.expert_rank()));
    sequence = world.split(n.sequence ? int(coord.data_rank) : alone);
    hidden = world.split(n.sequence ? alone : int(coord.data_rank));
    if (&memory == &host_memory()) return;
    for (const auto& [group, name] : groups_of(*this))
        *group = make && (*group)->size() > 1 ? make(std::move(*group), name, *this)
                                              : staged_comm(std::move(*group), memory, &stream);
}

void Mesh::finish() {
    for (const auto& [group, name] : groups_of(*this)) (*group)->finish();
}

void Mesh::require() const {
    for (const auto& [group, name] : groups_of(*this)) (*group)->require();
}

bool Mesh::only_queues() const {
    const auto groups = groups_of(*this);
    return std::all_of(groups.begin(), groups.end(), [](const auto& group) { return (*group.first)->only_queues(); });
}

Mesh& solo_mesh(Memory& memory) {
    thread_local const std::unique_ptr<Comm> comm = solo_comm();
    thread_local std::map<Memory*, Mesh> meshes;
    return meshes.try_emplace(&memory, *comm, MeshShape(), memory).first->second;
}

}  // namespace sluice
