// The state of optimizers: each lists its own once, in its own file (adamw.h, muon.h). Memory, shards, names in
// checkpoints, plans and loading follow from that list.
#pragma once
#include <span>
#include <type_traits>

#include "config/specs.h"
#include "parallel/traffic.h"
#include "tensor/params.h"

namespace sluice {

// How the ranks of a data group divide a tensor: by rows of dimension 0, or so that every matrix stays whole. A tensor
// of several matrices (experts) is divided between matrices.
enum class ShardRule { rows, whole_matrices };

struct OptimizerState {
    // Each prefix stands for one state tensor per parameter, of its shape and dtype, named prefix + parameter's name.
    std::span<const char* const> prefixes;
    ShardRule shards;
    // Bytes that an update moves per element in fp32: it reads and writes weight and state, and reads the gradient.
    double bytes_moved() const { return 4 * (2 * (1 + double(prefixes.size())) + 1); }
};

// What the update of a tensor costs on a rank, beside moving its weights and state through memory.
struct UpdateCost {
    double flops = 0;
    GroupTraffic tensor;  // bytes within the tensor group
    GroupTraffic copies;  // bytes among the tensor ranks that hold the same slice
};

// Whether weights are rounded from masters, which an optimizer keeps beside its state; else they are their own masters.
template <class B>
inline constexpr bool kHasMasters = !std::is_same_v<typename B::T, typename B::A>;

// The optimizer that updates a trained tensor.
OptimizerKind kind_of(const TensorInfo& tensor, const OptimizerSpec& spec);
const OptimizerState& state_of(OptimizerKind kind);
inline const OptimizerState& state_of(const TensorInfo& tensor, const OptimizerSpec& spec) {
    return state_of(kind_of(tensor, spec));
}

}  // namespace sluice
