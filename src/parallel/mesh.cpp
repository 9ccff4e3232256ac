#include "parallel/mesh.h"

#include "base/check.h"

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

Mesh::Mesh(Comm& everyone, const MeshShape& n)
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
}

Mesh& solo_mesh() {
    thread_local const std::unique_ptr<Comm> comm = solo_comm();
    thread_local Mesh mesh(*comm, {});
    return mesh;
}

}  // namespace sluice
