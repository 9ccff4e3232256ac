// Muon: momentum made orthogonal by Newton-Schulz steps, for the matrices of the layers; scaled so that AdamW's
// learning rate and decay carry over (arXiv 2502.16982).
//
//     b = momentum b + g;  u = g + momentum b;  w -= lr (0.2 sqrt(max(rows, columns)) orthogonal(u) + weight_decay w)
//
// One rank of a data group owns a whole matrix and computes its update. Where tensor parallelism splits the matrix, u
// is gathered over the tensor group, and each rank applies its own slice of the result.
#pragma once
#include <optional>

#include "optim/matrices.h"
#include "optim/slot.h"
#include "tensor/arena.h"

namespace sluice {

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
