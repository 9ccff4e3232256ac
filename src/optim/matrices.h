// The whole matrices that Muon updates: their state, who owns them, what their update costs and the memory it needs.
#pragma once
#include <vector>

#include "optim/shards.h"
#include "optim/state.h"

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

}  // namespace sluice
