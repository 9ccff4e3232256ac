// How the ranks of a data group, which hold the same slice of a tensor, divide its rows among themselves: for the norm
// of the gradient, for the files of a checkpoint and, with parallel.zero, for the optimizer's state. An optimizer may
// ask for whole matrices. Then one rank owns all rows of a matrix: the one that owns the fewest elements so far.
#pragma once
#include <array>
#include <vector>

#include "config/specs.h"
#include "model/model.h"

namespace sluice {

struct OptimizerShard {
    Slice rows;            // of dimension 0 of this rank's slice of the tensor
    int64_t begin, count;  // the same rows in elements of that slice
    int64_t owner;         // the rank of the group that owns all rows; -1: they are divided
    bool some;             // this rank owns rows (its slice by the tensor group may still be empty)
    bool first;            // no lower tensor rank holds this slice: this one adds it to the norm and writes it to files
    int64_t capacity;      // elements allocated, padding included: with zero for this rank's rows alone, else for the
                           // whole slice; 0 for an untrained tensor, and with zero where another rank owns all rows
    int64_t offset;        // first element in a buffer that holds a shard of every tensor
    int64_t state;         // first element in each state array of its optimizer
    // Null and empty without a mesh. group: the ranks with the same slice (mesh.data or mesh.expert_data); counts:
    // `count` of each of them.
    Comm* group = nullptr;
    std::vector<int64_t> counts;
};

class OptimizerShards {
 public:
    // For plans: without communicators. zero: memory covers a rank's own rows alone, else its whole slice.
    OptimizerShards(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, bool zero,
                    const OptimizerSpec& spec);
    OptimizerShards(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero, const OptimizerSpec& spec);
    const OptimizerShard& operator[](size_t tensor) const { return shards_[tensor]; }
    // Elements of one shard of every tensor together, and of one state array of an optimizer, which has a shard of each
    // of its own tensors: the same on every rank.
    int64_t capacity() const { return capacity_; }
    int64_t state_length(OptimizerKind kind) const { return state_lengths_[size_t(kind)]; }
    // Elements of all state arrays of all optimizers.
    int64_t state_capacity() const;

 private:
    std::vector<OptimizerShard> shards_;
    int64_t capacity_ = 0;
    std::array<int64_t, std::size(EnumNames<OptimizerKind>::all)> state_lengths_{};
};

// Elements allocated for the shard of a tensor, padding included: on every rank those of the largest shard.
int64_t capacity_of_shard(const TensorInfo& tensor, const MeshCoord& coord, bool zero, const OptimizerSpec& spec);

// The box, in indices of the whole tensor, of some rows of a rank's slice.
Box box_of_rows(const TensorInfo& tensor, Slice rows);

}  // namespace sluice
