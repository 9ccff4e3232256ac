#include "plan/search.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "config/load.h"

namespace sluice {
namespace {

// A mesh and zero on GPUs.
class OnGpu {
 public:
    OnGpu(const Config& c, int64_t ranks, const GpuFigures& gpu)
        : ranks_(ranks),
          gpu_(gpu),
          setup_(c, ranks, storage_on_gpu(c.train.precision)),
          reserve_(device_reserve(setup_.coord(), mesh_shape(c.model, c.parallel).replicas)) {}

    std::optional<int64_t> largest_micro_batch(const Config& c) const {
        return setup_.largest_micro_batch(c, divisors(c.train.batch / setup_.coord().data),
                                          gpu_.memory - reserve_.total());
    }
    Estimate estimate(const Config& c) const {
        return {c,
                ranks_,
                setup_.coord(),
                setup_.memory(c),
                reserve_,
                estimate_step(c, setup_.coord(), gpu_, setup_.tensors())};
    }

 private:
    int64_t ranks_;
    const GpuFigures& gpu_;
    Setup setup_;
    DeviceReserve reserve_;
};

// How many of the keys that a search sets differ.
int changed_keys(const Config& before, const Config& now) {
    const ParallelSpec &a = before.parallel, &b = now.parallel;
    return (a.tensor != b.tensor) + (a.expert != b.expert) + (a.sequence != b.sequence) + (a.zero != b.zero) +
           (before.train.recompute != now.train.recompute);
}

}  // namespace

Estimate estimate(const Config& c, int64_t ranks, const GpuFigures& gpu) { return OnGpu(c, ranks, gpu).estimate(c); }

std::optional<int64_t> largest_micro_batch(const Config& c, int64_t ranks, const GpuFigures& gpu) {
    data_ranks_of(c, int(ranks));
    return OnGpu(c, ranks, gpu).largest_micro_batch(c);
}

std::vector<Estimate> settings_that_fit(const Config& given, int64_t ranks, const GpuFigures& gpu,
                                        const KeptKeys& kept) {
    std::vector<Estimate> found;
    Config c = given;
    for (const ParallelSpec& parallel : meshes(given, ranks, kept)) {
        c.parallel = parallel;
        const OnGpu setup(c, ranks, gpu);
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
