// The setting nearest to a config's that fits.
#pragma once
#include <functional>
#include <optional>

#include "plan/settings.h"

namespace sluice {

struct Nearest {
    Config config;
    int64_t ranks;
};

// What a plan may take of a rank's memory, in bytes, on so many ranks.
using Allowance = std::function<double(int64_t ranks)>;

// Settings that do not change the course of a run: micro-batch, zero, recompute, mesh; in inference, where micro_batch
// is the sequences of a pass, that and the mesh. Doubles the ranks, up to `most_ranks`, until something fits. Nearest
// is what changes the fewest keys of the mesh, then the fewest keys, then what computes the least again, then the
// largest micro-batch. None fits: none.
std::optional<Nearest> nearest_that_fits(const Config& given, int64_t ranks, int64_t most_ranks, Storage storage,
                                         Mode mode, const Allowance& bytes);

}  // namespace sluice
