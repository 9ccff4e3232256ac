#include "optim/muon.h"

#include <cmath>

#include "kernels/autotune.h"
#include "kernels/memory.h"
#include "kernels/ops.h"

namespace sluice {
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
            copy_rows<B>(stream, {whole_ + (j * m.rows + part.row) * m.columns + part.column, m.columns},
                         {piece, part.columns}, part.rows, part.columns, Into::overwrite);
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
