#include "train/search.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "config/load.h"
#include "config/refuse.h"

namespace sluice {
namespace {

Place first_place(const Config& c, int64_t ranks) { return place_of(mesh_shape(c.model, c.parallel), ranks, 0); }

bool fits(const Config& c, int64_t ranks, const GpuFigures& gpu) {
    const Place place = first_place(c, ranks);
    const Precision stored = c.train.precision;
    const int64_t replicas = mesh_shape(c.model, c.parallel).replicas;
    return double(plan_memory(c, place, stored).total()) + device_reserve(place, replicas).total() <= gpu.memory;
}

std::vector<int64_t> divisors(int64_t n) {
    std::vector<int64_t> small, large;
    for (int64_t d = 1; d * d <= n; d++) {
        if (n % d != 0) continue;
        small.push_back(d);
        if (d * d != n) large.push_back(n / d);
    }
    small.insert(small.end(), large.rbegin(), large.rend());
    return small;
}

// The parallel settings that a model and a batch can have on so many ranks.
std::vector<ParallelSpec> meshes(const Config& given, int64_t ranks, const KeptKeys& kept) {
    std::vector<ParallelSpec> found;
    const auto values = [](bool keep, int64_t value, int64_t of, int64_t most) {
        std::vector<int64_t> all = keep ? std::vector<int64_t>{value} : divisors(of);
        std::erase_if(all, [&](int64_t d) { return d > most; });
        return all;
    };
    const ModelSpec& n = given.model;
    for (const int64_t tensor : values(kept.tensor, given.parallel.tensor, ranks, n.heads))
        for (const int64_t expert :
             values(kept.expert, given.parallel.expert, std::max<int64_t>(1, n.moe.experts), ranks / tensor)) {
            if (!sharding_conflicts(n, tensor, expert).empty()) continue;
            for (const bool sequence : {false, true}) {
                const bool only = kept.sequence || tensor == 1;  // without tensor ranks the key does nothing
                if (only && sequence != (kept.sequence && given.parallel.sequence)) continue;
                for (const int64_t zero : {0, 1}) {
                    Config c = given;
                    c.parallel.tensor = tensor;
                    c.parallel.expert = expert;
                    c.parallel.sequence = sequence;
                    c.parallel.zero = zero;
                    c.train.micro_batch = 0;
                    if (rank_conflicts(c, int(ranks)).empty()) found.push_back(c.parallel);
                }
            }
        }
    return found;
}

}  // namespace

Estimate::Estimate(const Config& c, int64_t n, const GpuFigures& gpu)
    : config(c),
      ranks(n),
      place(first_place(c, n)),
      memory(plan_memory(c, place, c.train.precision)),
      reserve(device_reserve(place, mesh_shape(c.model, c.parallel).replicas)),
      time(estimate_step(c, place, gpu)) {}

std::optional<int64_t> largest_micro_batch(const Config& config, int64_t ranks, const GpuFigures& gpu) {
    Config c = config;
    const std::vector<int64_t> sizes = divisors(c.train.batch / data_ranks_of(c, int(ranks)));
    // Memory grows with the micro-batch: the first size that does not fit ends them.
    const auto end = std::partition_point(sizes.begin(), sizes.end(), [&](int64_t size) {
        c.train.micro_batch = size;
        return fits(c, ranks, gpu);
    });
    if (end == sizes.begin()) return {};
    return *std::prev(end);
}

std::vector<Estimate> settings_that_fit(const Config& given, int64_t ranks, const GpuFigures& gpu,
                                        const KeptKeys& kept) {
    std::vector<Estimate> found;
    for (const ParallelSpec& parallel : meshes(given, ranks, kept))
        for (const auto& [word, recompute] : Words<Recompute>::all) {
            Config c = given;
            c.parallel = parallel;
            c.train.recompute = recompute;
            const std::optional<int64_t> size = largest_micro_batch(c, ranks, gpu);
            if (!size) continue;
            c.train.micro_batch = *size;
            found.emplace_back(c, ranks, gpu);
        }
    const auto order = [&](const Estimate& e) {
        return std::tuple(e.time.seconds(), changes_between(given, e.config).size(), e.bytes());
    };
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
            Found found{settings_that_fit(config, ranks, gpu, keep ? kept : KeptKeys{}), keep};
            if (!found.settings.empty()) return found;
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
