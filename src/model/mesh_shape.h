#pragma once
#include "config/specs.h"
#include "parallel/mesh.h"

namespace sluice {

// The group sizes of a config's mesh. With fewer key-value heads than tensor ranks, neighbouring ranks hold the same
// head.
MeshShape mesh_shape(const ModelSpec& spec, const ParallelSpec& parallel);

}  // namespace sluice
