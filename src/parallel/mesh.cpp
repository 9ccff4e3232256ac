#include "parallel/mesh.h"

#include <map>

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
    for (const auto& [group, name] : {std::pair{&data, "data"},
                                      {&tensor, "tensor"},
                                      {&replicas, "replicas"},
                                      {&expert, "expert"},
                                      {&expert_data, "expert_data"},
                                      {&sequence, "sequence"},
                                      {&hidden, "hidden"}})
        *group = make && (*group)->size() > 1 ? make(std::move(*group), name, *this)
                                              : staged_comm(std::move(*group), memory, &stream);
}

void Mesh::finish() {
    for (Comm* group :
         {data.get(), tensor.get(), replicas.get(), expert.get(), expert_data.get(), sequence.get(), hidden.get()})
        group->finish();
}

void Mesh::require() const {
    for (const auto* group : {&data, &tensor, &replicas, &expert, &expert_data, &sequence, &hidden})
        (*group)->require();
}

bool Mesh::only_queues() const {
    const auto groups = {&data, &tensor, &replicas, &expert, &expert_data, &sequence, &hidden};
    return std::all_of(groups.begin(), groups.end(), [](const auto* group) { return (*group)->only_queues(); });
}

Mesh& solo_mesh(Memory& memory) {
    thread_local const std::unique_ptr<Comm> comm = solo_comm();
    thread_local std::map<Memory*, Mesh> meshes;
    return meshes.try_emplace(&memory, *comm, MeshShape(), memory).first->second;
}

}  // namespace sluice
