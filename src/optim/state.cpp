#include "optim/state.h"

#include "optim/adamw.h"

namespace sluice {

OptimizerKind kind_of(const TensorInfo&, const OptimizerSpec& spec) { return spec.kind; }

const OptimizerState& state_of(OptimizerKind) { return kAdamWState; }

}  // namespace sluice
