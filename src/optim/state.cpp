#include "optim/state.h"

#include "optim/adamw.h"
#include "optim/matrices.h"

namespace sluice {

OptimizerKind kind_of(const TensorInfo& t, const OptimizerSpec& spec) {
    return t.role == Role::map ? spec.kind : OptimizerKind::adamw;
}

const OptimizerState& state_of(OptimizerKind kind) { return kind == OptimizerKind::muon ? kMuonState : kAdamWState; }

}  // namespace sluice
