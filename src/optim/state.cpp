#include "optim/state.h"

#include "optim/adamw.h"
#include "optim/muon.h"

namespace sluice {

// Muon updates the matrices of the layers that map hidden states. Routers stay with AdamW: each of their rows computes
// a score of its own.
OptimizerKind kind_of(const TensorInfo& t, const OptimizerSpec& spec) {
    const bool matrix = t.shape.size() >= 2 && t.decay == Decay::yes && t.name.starts_with("layers.") &&
                        !t.name.ends_with("router.weight");
    return matrix ? spec.kind : OptimizerKind::adamw;
}

const OptimizerState& state_of(OptimizerKind kind) { return kind == OptimizerKind::muon ? kMuonState : kAdamWState; }

}  // namespace sluice
