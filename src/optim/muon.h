// Muon: momentum made orthogonal by Newton-Schulz steps, for the matrices of the layers; scaled so that AdamW's
// learning rate and decay carry over (arXiv 2502.16982).
//
//     b = momentum b + g;  u = g + momentum b;  w -= lr (0.2 sqrt(max(rows, columns)) orthogonal(u) + weight_decay w)
//
// One rank of a data group owns a whole matrix and computes its update. Where tensor parallelism splits the matrix, u
// is gathered over the tensor group, and each rank applies its own slice of the result.
#pragma once
#include <optional>

#include "optim/slot.h"
#include "optim/state.h"
#include "tensor/arena.h"

namespace sluice {

inline constexpr const char* kMuonPrefixes[] = {"muon.m/"};
inline constexpr OptimizerState kMuonState{kMuonPrefixes, ShardRule::whole_matrices};

// The part of one matrix that a tensor rank holds: its first row and column, and its extents.
struct MatrixPart {
    int64_t row, column, rows, columns;
};

// The whole matrices of a tensor (..., rows, columns) whose update a rank computes.
struct Matrices {
    Matrices(const TensorInfo& tensor, const OptimizerShard& shard, const MeshCoord& coord);
    int64_t rows, columns, count;   // count: matrices owned by this rank
    std::vector<MatrixPart> parts;  // of each matrix, by tensor rank
    bool sharded;                   // the tensor group splits each matrix, so that it must be gathered
    int64_t copies;                 // tensor ranks that hold the same slice
    // Elements that each tensor rank contributes to the all-gather: those of its slice, or 0 where a lower rank holds
    // the same slice.
    std::vector<int64_t> gather_counts() const;
};
// What the update of a tensor costs on a rank. item, gradient_item: bytes of one element of a weight, of a gradient.
UpdateCost muon_cost(const TensorInfo& tensor, const OptimizerShard& shard, const MeshCoord& coord, int64_t item,
                     int64_t gradient_item);

// Elements of scratch memory for the largest tensor, the same on every rank: u of this rank's slice; the slices of all
// tensor ranks as gathered; the matrices that they make up; what orthogonalize() needs.
struct MuonScratch {
    int64_t u = 0, pieces = 0, whole = 0, steps = 0;
    int64_t total() const { return u + pieces + whole + steps; }
};
MuonScratch muon_scratch(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, const OptimizerSpec& spec,
                         bool zero);

template <class B>
class Muon {
 public:
    using T = typename B::T;
    using A = typename B::A;
    Muon(const OptimizerSpec& spec, const std::vector<TensorInfo>& tensors, const OptimizerShards& shards, Mesh& mesh,
         bool zero);
    // Updates tensor i of the model. Collective over its shard's group and over the tensor group.
    void update(size_t i, const Slot<B>& slot, const Update& update);
    size_t bytes() const { return arena_.bytes(); }

 private:
    struct Prepared {
        Matrices matrices;
        std::vector<int64_t> gather_counts, copy_counts;  // elements, by rank of the tensor group and of `copies`
        Comm* copies;                                     // tensor ranks that hold the same slice
    };
    T* gather(Stream stream, const Prepared& p, const T* u);
    void descend(const Prepared& p, const Slot<B>& slot, T* x, const Update& update);

    OptimizerSpec spec_;
    Mesh& mesh_;
    std::vector<std::optional<Prepared>> prepared_;  // by tensor of the model; none where AdamW updates it
    Arena arena_;
    T *u_, *pieces_, *whole_, *steps_;  // as MuonScratch counts them
};

}  // namespace sluice
