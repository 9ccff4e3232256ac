// Who answers for what: the ranks of a data group hold the same part of a tensor, and share its rows out among each
// other: for the norm of the gradient, for files of a checkpoint, and, with parallel.zero, for the optimizer's state.
#pragma once
#include <vector>

#include "model/model.h"

namespace sluice {

struct Share {
    Part rows;                    // of dimension 0 of what this rank holds of the tensor
    int64_t begin, count;         // the same in elements of that
    std::vector<int64_t> counts;  // by rank of the group
    Comm* group;                  // ranks with the same part: mesh.data, or mesh.expert_data
    bool first;                   // of the tensor ranks that hold the same part, the one that counts and writes it
    int64_t state;                // first element within the optimizer's state
};

class Shares {
 public:
    // zero: the optimizer's state covers a rank's share alone, else all that it holds.
    Shares(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero);
    const Share& operator[](size_t tensor) const { return shares_[tensor]; }
    int64_t state() const { return state_; }  // elements of one moment, padding included: the same on every rank

 private:
    std::vector<Share> shares_;
    int64_t state_ = 0;
};

// Elements of one moment, planned without a mesh.
int64_t optimizer_state(const std::vector<TensorInfo>& tensors, const Place& place, bool zero);

// The share of a tensor's rows as a box of the whole.
Box box_of_rows(const TensorInfo& tensor, Part rows);

}  // namespace sluice
