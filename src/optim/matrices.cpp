#include "optim/matrices.h"

#include <algorithm>
#include <numeric>

#include "kernels/ops.h"

namespace sluice {
namespace {

int64_t extent(const std::vector<int64_t>& shape, size_t from_last) { return shape[shape.size() - from_last]; }

bool shards_matrices(const TensorInfo& t) {
    return t.sharding.parts > 1 && t.sharding.dimension >= int(t.shape.size()) - 2;
}

}  // namespace

Matrices::Matrices(const TensorInfo& t, const OptimizerShard& shard, const MeshCoord& coord)
    : rows(extent(t.shape, 2)),
      columns(extent(t.shape, 1)),
      sharded(shards_matrices(t)),
      copies(t.sharding.dimension >= 0 ? coord.tensor / t.sharding.parts : coord.tensor) {
    for (int64_t rank = 0; rank < coord.tensor; rank++) {
        MeshCoord there = coord;
        there.tensor_rank = rank;
        const Box box = box_of(t.shape, t.sharding, there);
        parts.push_back({extent(box.start, 2), extent(box.start, 1), extent(box.shape, 2), extent(box.shape, 1)});
    }
    count = shard.some ? 1 : 0;
    for (size_t d = 0; d + 2 < t.shape.size(); d++) count *= d == 0 ? shard.rows.size() : t.box.shape[d];
}

std::vector<int64_t> Matrices::gather_counts() const {
    std::vector<int64_t> counts;
    for (size_t rank = 0; rank < parts.size(); rank++)
        counts.push_back(int64_t(rank) % copies == 0 ? count * parts[rank].rows * parts[rank].columns : 0);
    return counts;
}

// FLOPs of five Newton-Schulz steps on the smaller Gram matrix. u is gathered where the tensor group splits the
// matrices, and the updated slice is sent to all ranks that hold the same slice.
UpdateCost muon_cost(const TensorInfo& t, const OptimizerShard& shard, const MeshCoord& coord, int64_t item,
                     int64_t gradient_item) {
    UpdateCost c;
    if (!shard.some) return c;
    const Matrices matrices(t, shard, coord);
    const double n = double(std::min(matrices.rows, matrices.columns));
    const double m = double(std::max(matrices.rows, matrices.columns));
    c.flops = double(matrices.count) * 5 * (4 * n * n * m + 2 * n * n * n);
    if (matrices.sharded) {
        const std::vector<int64_t> counts = matrices.gather_counts();
        const int64_t all = std::accumulate(counts.begin(), counts.end(), int64_t{0});  // elements of all slices
        c.tensor.all_gather(double(counts[size_t(coord.tensor_rank)] * gradient_item), double(all * gradient_item),
                            coord.tensor);
    }
    c.copies.all_gather(shard.first ? double(shard.count * item) : 0, double(shard.count * item), matrices.copies);
    return c;
}

MuonScratch muon_scratch(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                         bool zero) {
    MuonScratch largest;
    for (const TensorInfo& t : tensors) {
        if (!t.trained() || kind_of(t, spec) != OptimizerKind::muon) continue;
        largest.u = std::max(largest.u, capacity_of_shard(t, coord, zero, spec));
        largest.steps = std::max(largest.steps, padded(orthogonalize_scratch(extent(t.shape, 2), extent(t.shape, 1))));
        if (!shards_matrices(t)) continue;
        TensorInfo whole = t;  // as if the tensor group did not split it
        whole.sharding.dimension = -1;
        largest.pieces = largest.whole = std::max(largest.whole, capacity_of_shard(whole, coord, true, spec));
    }
    return largest;
}

}  // namespace sluice
