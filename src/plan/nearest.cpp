#include "plan/nearest.h"

#include <algorithm>
#include <tuple>

namespace sluice {
namespace {

class Search {
 public:
    Search(const Config& given, Storage storage, Mode mode) : given_(given), storage_(storage), mode_(mode) {}

    std::optional<Config> nearest(int64_t ranks, const KeptKeys& kept, double bytes) const {
        std::optional<Config> nearest;
        for (const ParallelSpec& parallel : meshes(given_, ranks, kept)) {
            if (parallel.zero != given_.parallel.zero && !may_shard(parallel)) continue;
            Config c = given_;
            c.parallel = parallel;
            const Setup setup(c, ranks, storage_, mode_);
            const std::vector<int64_t> sizes = micro_batches(setup.coord());
            for (const auto& [word, recompute] : EnumNames<Recompute>::all) {
                if (recompute != given_.train.recompute && mode_ != Mode::training) continue;
                c.train.recompute = recompute;
                const std::optional<int64_t> size = setup.largest_micro_batch(c, sizes, bytes);
                if (!size) continue;
                c.train.micro_batch = *size;
                if (!nearest || distance(c) < distance(*nearest)) nearest = c;
            }
        }
        return nearest;
    }

 private:
    bool may_shard(const ParallelSpec& parallel) const { return mode_ == Mode::training && parallel.zero > 0; }
    std::vector<int64_t> micro_batches(const MeshCoord& coord) const {
        const int64_t given = given_.train.micro_batch;
        std::vector<int64_t> sizes = divisors(mode_ != Mode::training ? given : given_.train.batch / coord.data);
        std::erase_if(sizes, [&](int64_t size) { return size > given; });
        return sizes;
    }
    std::tuple<int, int, Recompute, int64_t> distance(const Config& c) const {
        const ParallelSpec &a = given_.parallel, &b = c.parallel;
        const int mesh = (a.tensor != b.tensor) + (a.expert != b.expert) + (a.sequence != b.sequence);
        const int others = (a.zero != b.zero) + (given_.train.recompute != c.train.recompute) +
                           (given_.train.micro_batch != c.train.micro_batch);
        return {mesh, mesh + others, c.train.recompute, -c.train.micro_batch};
    }

    const Config& given_;
    Storage storage_;
    Mode mode_;
};

}  // namespace

std::optional<Nearest> nearest_that_fits(const Config& given, int64_t ranks, int64_t most_ranks, Storage storage,
                                         Mode mode, const Allowance& bytes) {
    const Search search(given, storage, mode);
    for (; ranks <= most_ranks; ranks *= 2)
        for (const bool keep : {true, false})
            if (auto config = search.nearest(ranks, {keep, keep, keep}, bytes(ranks))) return {{*config, ranks}};
    return {};
}

}  // namespace sluice
