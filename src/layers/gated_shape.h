// What gates act on, and how heads are split over ranks.
#pragma once
#include "config/specs.h"
#include "tensor/params.h"

namespace sluice {

// The shape of the tensor that a position gates, (tokens, heads, channels), of all ranks together.
struct GatedShape {
    int64_t heads, channels;
};
GatedShape gated_shape(Position position, const ModelSpec& model);
// Splits `heads` heads over the tensor group, along dimension 0. With fewer heads than ranks, neighbouring ranks hold
// the same head, and each has a partial sum of its gradient.
ShardSpec shard_by_head(int64_t heads, const MeshCoord& coord);

}  // namespace sluice
