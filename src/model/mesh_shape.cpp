#include "model/mesh_shape.h"

#include <algorithm>

namespace sluice {

MeshShape mesh_shape(const ModelSpec& spec, const ParallelSpec& parallel) {
    return {parallel.tensor, parallel.expert, parallel.sequence, std::max<int64_t>(1, parallel.tensor / spec.kv_heads)};
}

}  // namespace sluice
