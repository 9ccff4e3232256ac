#include "parallel/mesh.h"

#include "base/check.h"

namespace sluice {

Place place_of(const MeshShape& n, int64_t ranks, int64_t rank) {
    Place place;
    place.tensor = n.tensor;
    place.expert = n.expert;
    place.data = ranks / n.tensor;
    place.sequence = n.sequence;
    place.data_rank = rank / n.tensor;
    place.tensor_rank = rank % n.tensor;
    return place;
}

Mesh::Mesh(Comm& everyone, const MeshShape& n) : place(place_of(n, everyone.size(), everyone.rank())), world(everyone) {
    check(world.size() % n.tensor == 0 && place.data % n.expert == 0 && n.tensor % n.replicas == 0,
          "a mesh that does not fit its ranks");
    const int tensor_rank = int(place.tensor_rank), alone = world.rank();
    data = world.split(tensor_rank);
    tensor = world.split(int(place.data_rank));
    replicas = world.split(world.rank() / int(n.replicas));
    expert = data->split(int(place.expert_copy()));
    expert_data = data->split(int(place.expert_rank()));
    sequence = world.split(n.sequence ? int(place.data_rank) : alone);
    hidden = world.split(n.sequence ? alone : int(place.data_rank));
}

Mesh& solo_mesh() {
    thread_local const std::unique_ptr<Comm> comm = solo_comm();
    thread_local Mesh mesh(*comm, {});
    return mesh;
}

}  // namespace sluice
