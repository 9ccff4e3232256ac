// Who answers for what: the ranks of a data group hold the same part of a tensor, and share its rows out among each
// other: for the norm of the gradient, for files of a checkpoint, and, with parallel.zero, for the optimizer's state.
// An optimizer may ask for whole matrices: then one rank has all rows, each matrix going to the rank with the least.
#pragma once
#include <vector>

#include "config/specs.h"
#include "model/model.h"

namespace sluice {

struct Share {
    Part rows;             // of dimension 0 of what this rank holds of the tensor
    int64_t begin, count;  // the same in elements of that
    int64_t owner;         // the rank of the group that has all rows; -1: they are shared out
    bool some;             // this rank's share is not empty (but of a tensor rank's part, which may be)
    bool first;            // of the tensor ranks that hold the same part, the one that counts and writes it
    int64_t room;          // elements that the share takes in memory, padding included: with zero of this rank's rows
                           // alone, else of all that it holds; 0 where nothing is trained
    int64_t offset;        // first element in memory that has room for a share of every tensor
    int64_t state;         // first element within the optimizer's state, whose tensors follow each other by `room`
    // Of a mesh: ranks with the same part (mesh.data or mesh.expert_data), and `count` of each.
    Comm* group = nullptr;
    std::vector<int64_t> counts;
};

class Shares {
 public:
    // Planned without a mesh. zero: memory covers a rank's share alone, else all that it holds.
    Shares(const std::vector<TensorInfo>& tensors, const Place& place, bool zero, const OptimizerSpec& spec);
    Shares(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero, const OptimizerSpec& spec);
    const Share& operator[](size_t tensor) const { return shares_[tensor]; }
    // Elements of a share of every tensor, and of the optimizer's state: the same on every rank.
    int64_t room() const { return room_; }
    int64_t state_room() const { return state_room_; }

 private:
    std::vector<Share> shares_;
    int64_t room_ = 0, state_room_ = 0;
};

// Elements of memory for the share of a tensor, padding included, of the rank with the largest.
int64_t room_of_share(const TensorInfo& tensor, const Place& place, bool zero, const OptimizerSpec& spec);

// The share of a tensor's rows as a box of the whole.
Box box_of_rows(const TensorInfo& tensor, Part rows);

}  // namespace sluice
