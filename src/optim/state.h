// What optimizers keep: each lists it once, in its own file (adamw.h, muon.h). Memory, shards, names in checkpoints,
// plans and loading follow from that list.
#pragma once
#include <span>

#include "config/specs.h"
#include "parallel/traffic.h"
#include "tensor/params.h"

namespace sluice {

// How the ranks of a data group divide a tensor: by rows of dimension 0, or so that a matrix stays whole. A tensor of
// several matrices (experts) is divided between these.
enum class ShardRule { rows, whole_matrices };

struct OptimizerState {
    // A state tensor of every parameter, of its shape and dtype, stands under prefix + name of the parameter.
    std::span<const char* const> prefixes;
    ShardRule shards;
    // Bytes that an update moves for an element in fp32: weight and state read and written, the gradient read.
    double bytes_moved() const { return 4 * (2 * (1 + double(prefixes.size())) + 1); }
};

// What the update of a tensor takes on a rank beside moving its weights and state.
struct UpdateCost {
    double flops = 0;
    GroupTraffic tensor;  // of the tensor group
    GroupTraffic copies;  // of the tensor ranks that hold the same slice
};

// Which optimizer a trained tensor has.
OptimizerKind kind_of(const TensorInfo& tensor, const OptimizerSpec& spec);
const OptimizerState& state_of(OptimizerKind kind);
inline const OptimizerState& state_of(const TensorInfo& tensor, const OptimizerSpec& spec) {
    return state_of(kind_of(tensor, spec));
}

}  // namespace sluice
