// AdamW (arXiv 1711.05101): a first and a second moment of every element.
#pragma once
#include "optim/slot.h"
#include "optim/state.h"

namespace sluice {

inline constexpr const char* kAdamWPrefixes[] = {"adam.m/", "adam.v/"};
inline constexpr OptimizerState kAdamWState{kAdamWPrefixes, ShardRule::rows};

// With zero collective over slot.shard->group: each rank updates its own rows, and the weights are gathered afterwards.
template <class B>
void adamw_update(const Slot<typename B::T>& slot, const OptimizerSpec& spec, const Update& update);

}  // namespace sluice
