// The settings that a config may have on so many ranks, and what fits of them: for searches.
#pragma once
#include <optional>
#include <vector>

#include "plan/plan.h"

namespace sluice {

// Keys of the mesh that a search must leave as the config has them.
struct KeptKeys {
    bool tensor = false, expert = false, sequence = false;
    bool any() const { return tensor || expert || sequence; }
};

std::vector<int64_t> divisors(int64_t n);  // ascending

// The parallel settings that a model and a batch can have on so many ranks: every tensor that divides the ranks, every
// expert that divides the experts, sequence and zero off and on. Kept keys have their given value alone.
std::vector<ParallelSpec> meshes(const Config& given, int64_t ranks, const KeptKeys& kept);

// A mesh and zero, with everything that does not depend on recompute and micro-batch: computed once for all of these.
class Setup {
 public:
    Setup(const Config& config, int64_t ranks, Storage storage, Mode mode = Mode::training);

    const MeshCoord& coord() const { return coord_; }
    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    MemoryPlan memory(const Config& config) const;
    bool fits(const Config& config, double bytes) const;
    // The largest of `sizes`, ascending, of a micro-batch with which a rank needs at most so many bytes.
    std::optional<int64_t> largest_micro_batch(Config config, const std::vector<int64_t>& sizes, double bytes) const;

 private:
    Storage storage_;
    Mode mode_;
    MeshCoord coord_;
    std::vector<TensorInfo> tensors_;
    MemoryPlan state_;
};

// Tokens of a pass: the bytes of more would not fit the plan's own numbers, nor any memory.
constexpr int64_t kMostPlannedTokens = int64_t{1} << 40;

}  // namespace sluice
