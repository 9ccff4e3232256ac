// AdamW (arXiv 1711.05101): a first and a second moment of every element. All its tensors are updated by one op.
#pragma once
#include <vector>

#include "optim/slot.h"
#include "optim/spans.h"
#include "optim/state.h"

namespace sluice {

inline constexpr const char* kAdamWPrefixes[] = {"adam.m/", "adam.v/"};
inline constexpr OptimizerState kAdamWState{kAdamWPrefixes, ShardRule::rows};

template <class B>
class AdamWTensors {
 public:
    // slots: those that AdamW updates.
    AdamWTensors(const OptimizerSpec& spec, std::vector<Slot<B>> slots, bool zero, Stream stream);
    // With zero collective over the groups of the shards: each rank updates its own rows, and the weights are gathered
    // afterwards.
    void update(const Update& update);

 private:
    OptimizerSpec spec_;
    std::vector<Slot<B>> slots_;
    SpanList<B, AdamWSpan> spans_;  // offsets are from the pointers of the first slot
};

}  // namespace sluice
