#include "plan/search.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "config/load.h"
#include "config/validate.h"

namespace sluice {
namespace {

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

// A mesh and zero, with everything that does not depend on recompute and micro-batch: computed once for all of these.
class Setup {
 public:
    Setup(const Config& c, int64_t ranks, const GpuFigures& gpu)
        : ranks_(ranks),
          gpu_(gpu),
          coord_(mesh_coord(mesh_shape(c.model, c.parallel), ranks, 0)),
          tensors_(Model<PlannedFp32>::tensors(c.model, coord_)),
          state_(plan_state(c, coord_, c.train.precision, tensors_)),
          reserve_(device_reserve(coord_, mesh_shape(c.model, c.parallel).replicas)) {}

    bool fits(const Config& c) const {
        const double least = double(state_.total()) + reserve_.total();  // without activations: cheap, and often enough
        return least <= gpu_.memory && double(memory(c).total()) + reserve_.total() <= gpu_.memory;
    }
    // Memory grows with the micro-batch, so that the sizes that fit come first: a binary search finds where they end.
    std::optional<int64_t> largest_micro_batch(Config c) const {
        const std::vector<int64_t> sizes = divisors(c.train.batch / coord_.data);
        const auto end = std::partition_point(sizes.begin(), sizes.end(), [&](int64_t size) {
            c.train.micro_batch = size;
            return fits(c);
        });
        if (end == sizes.begin()) return {};
        return *std::prev(end);
    }
    Estimate estimate(const Config& c) const {
        return {c, ranks_, coord_, memory(c), reserve_, estimate_step(c, coord_, gpu_, tensors_)};
    }

 private:
    MemoryPlan memory(const Config& c) const {
        MemoryPlan plan = state_;
        add_activations(plan, c, coord_, c.train.precision);
        return plan;
    }

    int64_t ranks_;
    const GpuFigures& gpu_;
    MeshCoord coord_;
    std::vector<TensorInfo> tensors_;
    MemoryPlan state_;
    DeviceReserve reserve_;
};

// The parallel settings that a model and a batch can have on so many ranks: every tensor that divides the ranks, every
// expert that divides the experts, sequence and zero off and on. Kept keys have their given value alone.
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

// How many of the keys that a search sets differ.
int changed_keys(const Config& before, const Config& now) {
    const ParallelSpec &a = before.parallel, &b = now.parallel;
    return (a.tensor != b.tensor) + (a.expert != b.expert) + (a.sequence != b.sequence) + (a.zero != b.zero) +
           (before.train.recompute != now.train.recompute);
}

}  // namespace

Estimate estimate(const Config& c, int64_t ranks, const GpuFigures& gpu) { return Setup(c, ranks, gpu).estimate(c); }

std::optional<int64_t> largest_micro_batch(const Config& c, int64_t ranks, const GpuFigures& gpu) {
    data_ranks_of(c, int(ranks));
    return Setup(c, ranks, gpu).largest_micro_batch(c);
}

std::vector<Estimate> settings_that_fit(const Config& given, int64_t ranks, const GpuFigures& gpu,
                                        const KeptKeys& kept) {
    std::vector<Estimate> found;
    Config c = given;
    for (const ParallelSpec& parallel : meshes(given, ranks, kept)) {
        c.parallel = parallel;
        const Setup setup(c, ranks, gpu);
        for (const auto& [word, recompute] : EnumNames<Recompute>::all) {
            c.train.recompute = recompute;
            const std::optional<int64_t> size = setup.largest_micro_batch(c);
            if (!size) continue;
            c.train.micro_batch = *size;
            found.push_back(setup.estimate(c));
        }
    }
    const auto order = [&](const Estimate& e) {
        return std::tuple(e.time.seconds(), changed_keys(given, e.config), e.bytes());
    };
    // An Estimate is large: sort keys with indices, then move each estimate once.
    std::vector<std::pair<decltype(order(found[0])), size_t>> keys;
    for (size_t i = 0; i < found.size(); i++) keys.emplace_back(order(found[i]), i);
    std::sort(keys.begin(), keys.end());
    std::vector<Estimate> sorted;
    for (const auto& [key, i] : keys) sorted.push_back(std::move(found[i]));
    return sorted;
}

Found search_settings(const Config& config, int64_t ranks, const GpuFigures& gpu, const KeptKeys& kept) {
    for (int64_t d = 0; d <= kMostDoublings && ranks <= kMostPlannedRanks; d++, ranks *= 2)
        for (const bool keep : {true, false}) {
            if (!keep && !kept.any()) continue;
            Found found{settings_that_fit(config, ranks, gpu, keep ? kept : KeptKeys{}), keep, {}};
            if (found.settings.empty()) continue;
            if (keep && kept.any()) {
                const Estimate fastest = settings_that_fit(config, ranks, gpu, {})[0];
                if (fastest.time.seconds() < found.settings[0].time.seconds()) found.faster = fastest;
            }
            return found;
        }
    return {};
}

std::vector<std::string> changes_between(const Config& before, const Config& now) {
    std::map<std::string, std::string> old;
    for (const auto& [key, value] : flatten(before)) old[key] = value;
    std::vector<std::string> changes;
    for (const auto& [key, value] : flatten(now))
        if (old[key] != value) changes.push_back(key + "=" + value);
    return changes;
}

}  // namespace sluice
