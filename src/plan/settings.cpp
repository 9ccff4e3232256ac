#include "plan/settings.h"

#include <algorithm>

#include "config/validate.h"

namespace sluice {

std::vector<int64_t> divisors(int64_t n) {  // ascending
    std::vector<int64_t> small, large;
    for (int64_t d = 1; d * d <= n; d++) {
        if (n % d != 0) continue;
        small.push_back(d);
        if (d * d != n) large.push_back(n / d);
    }
    small.insert(small.end(), large.rbegin(), large.rend());
    return small;
}

Setup::Setup(const Config& c, int64_t ranks, Storage storage, Mode mode)
    : storage_(storage),
      mode_(mode),
      coord_(mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0)),
      tensors_(Model<PlannedFp32>::tensors(c.model, coord_)),
      state_(plan_state(c, coord_, storage, mode, tensors_)) {}

MemoryPlan Setup::memory(const Config& c) const {
    MemoryPlan plan = state_;
    add_activations(plan, c, coord_, storage_, mode_);
    return plan;
}

bool Setup::fits(const Config& c, double bytes) const {
    if (double(state_.total()) > bytes) return false;  // without activations: cheap, and often enough
    if (c.train.micro_batch > kMostPlannedTokens / c.data.sequence_length) return false;
    return double(memory(c).total()) <= bytes;
}

// Memory grows with the micro-batch, so that the sizes that fit come first: a binary search finds where they end.
std::optional<int64_t> Setup::largest_micro_batch(Config c, const std::vector<int64_t>& sizes, double bytes) const {
    const auto end = std::partition_point(sizes.begin(), sizes.end(), [&](int64_t size) {
        c.train.micro_batch = size;
        return fits(c, bytes);
    });
    if (end == sizes.begin()) return {};
    return *std::prev(end);
}

std::vector<ParallelSpec> meshes(const Config& given, int64_t ranks, const KeptKeys& kept) {
    std::vector<ParallelSpec> found;
    const auto values = [](bool keep, int64_t value, int64_t multiple, int64_t max) {
        std::vector<int64_t> all = keep ? std::vector<int64_t>{value} : divisors(multiple);
        std::erase_if(all, [&](int64_t d) { return d > max; });
        return all;
    };
    const ModelSpec& n = given.model;
    for (const int64_t tensor : values(kept.tensor, given.parallel.tensor, ranks, n.heads))
        for (const int64_t expert :
             values(kept.expert, given.parallel.expert, std::max<int64_t>(1, n.moe.experts), ranks / tensor)) {
            if (!sharding_conflicts(n, tensor, expert).empty()) continue;
            for (const bool sequence : {false, true}) {
                // Kept, only the given value; without tensor ranks, where the key has no effect, only false.
                const bool only = kept.sequence || tensor == 1;
                if (only && sequence != (kept.sequence && given.parallel.sequence)) continue;
                for (const int64_t zero : {0, 1}) {
                    Config c = given;
                    c.parallel.tensor = tensor;
                    c.parallel.expert = expert;
                    c.parallel.sequence = sequence;
                    c.parallel.zero = zero;
                    c.train.micro_batch = 0;  // chosen later
                    if (rank_conflicts(c, int(ranks)).empty()) found.push_back(c.parallel);
                }
            }
        }
    return found;
}

}  // namespace sluice
