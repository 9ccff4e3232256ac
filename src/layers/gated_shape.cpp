#include "layers/gated_shape.h"

#include <algorithm>

namespace sluice {

GatedShape gated_shape(Position position, const ModelSpec& model) {
    switch (position) {
        case Position::query:
        case Position::sdpa:
            return {model.heads, model.head_dim};
        case Position::key:
        case Position::value:
            return {model.kv_heads, model.head_dim};
        case Position::output:
            break;
    }
    return {1, model.hidden};  // the output projection has mixed the heads
}

ShardSpec shard_by_head(int64_t heads, const MeshCoord& coord) {
    const int64_t parts = std::min(heads, coord.tensor);
    return {0, parts, false, parts < coord.tensor ? ShardSpec::over_replicas : ShardSpec::whole};
}

}  // namespace sluice
