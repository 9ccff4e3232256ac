#include "optim/muon.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/autotune.h"
#include "kernels/memory.h"
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

template <class B>
Muon<B>::Muon(const OptimizerSpec& spec, const std::vector<TensorInfo>& tensors, const OptimizerShards& shards,
              Mesh& mesh, bool zero)
    : spec_(spec),
      mesh_(mesh),
      prepared_(tensors.size()),
      arena_("Muon's scratch", size_t(muon_scratch(tensors, mesh.coord, spec, zero).total()) * sizeof(T),
             memory_of<B>()) {
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& t = tensors[i];
        if (!t.trained() || kind_of(t, spec) != OptimizerKind::muon) continue;
        Prepared& p = prepared_[i].emplace(Prepared{Matrices(t, shards[i], mesh.coord), {}, {}, nullptr});
        p.gather_counts = p.matrices.gather_counts();
        p.copies = t.sharding.dimension >= 0 ? mesh.replicas.get() : mesh.tensor.get();
        p.copy_counts.assign(size_t(p.copies->size()), 0);
        p.copy_counts[0] = shards[i].count;
    }
    const MuonScratch n = muon_scratch(tensors, mesh.coord, spec, zero);
    u_ = reinterpret_cast<T*>(arena_.data());
    pieces_ = u_ + n.u;
    whole_ = pieces_ + n.pieces;
    steps_ = whole_ + n.whole;
}

template <class B>
void Muon<B>::update(size_t i, const Slot<B>& slot, const Update& n) {
    const Prepared& p = *prepared_[i];
    const OptimizerShard& shard = *slot.shard;
    // Pointwise, on the elements whose gradient this rank has: its own rows with zero, else its whole slice.
    muon_momentum<B>(n.stream, u_, slot.state(0), slot.gradient, n.zero ? shard.count : slot.tensor->count,
                     spec_.momentum, n.gradient_scale);
    T* own = slot.weight + shard.begin;
    if (shard.some) {
        T* u = u_ + (n.zero ? 0 : shard.begin);
        T* whole = p.matrices.sharded ? gather(n.stream, p, u) : u;
        // Of the tensor ranks with the same slice the first computes its update and sends the result to the others.
        if (shard.first) descend(p, slot, whole, n);
        if (p.matrices.copies > 1) {  // copy_counts is (shard.count, 0, ...): the others contribute nothing
            const T* mine = own + (shard.first ? 0 : shard.count);
            p.copies->all_gather(own, mine, p.copy_counts.data());
        }
    }
    // The owners' matrices, to all ranks of the data group that hold this slice.
    shard.group->all_gather(slot.weight, static_cast<const T*>(own), shard.counts.data());
}

// Returns the matrices that this rank owns, (count, rows, columns). u (count, part.rows, part.columns): this rank's
// slice of each. The all-gather leaves the slices one rank after another; each is then copied to its rows and columns
// of matrix j.
template <class B>
typename B::T* Muon<B>::gather(Stream stream, const Prepared& p, const T* u) {
    const Matrices& m = p.matrices;
    mesh_.tensor->all_gather(pieces_, u, p.gather_counts.data());
    const T* piece = pieces_;
    for (size_t rank = 0; rank < m.parts.size(); rank += size_t(m.copies)) {  // the first rank of each slice
        const MatrixPart& part = m.parts[rank];
        for (int64_t j = 0; j < m.count; j++, piece += part.rows * part.columns)
            copy_rows<B>(stream, {whole_ + (j * m.rows + part.row) * m.columns + part.column, m.columns}, piece,
                         part.rows, part.columns);
    }
    return whole_;
}

// x (count, rows, columns): u of the matrices that this rank owns; overwritten. Updates this rank's slice w of each
// matrix j from the same slice of orthogonal(u).
template <class B>
void Muon<B>::descend(const Prepared& p, const Slot<B>& slot, T* x, const Update& n) {
    const Matrices& m = p.matrices;
    const MatrixPart& part = m.parts[size_t(mesh_.coord.tensor_rank)];
    const double scale = 0.2 * std::sqrt(double(std::max(m.rows, m.columns)));
    const AutotuneScope autotuning;
    T* w = slot.weight + slot.shard->begin;
    A* master = slot.master ? slot.master + (n.zero ? 0 : slot.shard->begin) : nullptr;
    Stream in_full_precision = n.stream;
    in_full_precision.matmul = MatmulPrecision::full;
    for (int64_t j = 0; j < m.count; j++, x += m.rows * m.columns) {
        const int64_t at = j * part.rows * part.columns;
        orthogonalize<B>(in_full_precision, x, m.rows, m.columns, steps_);
        muon_update<B>(n.stream, w + at, master ? master + at : nullptr,
                       {x + part.row * m.columns + part.column, m.columns}, part.rows, part.columns, n.lr, scale,
                       spec_.weight_decay);
    }
}

#define INSTANTIATE(B) template class Muon<B>;
SLUICE_BACKENDS(INSTANTIATE)

}  // namespace sluice
