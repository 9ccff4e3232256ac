// Parameters. Each layer lists its tensors once, v(prefix + name, pointer, {shape}, Init, Role, ShardSpec), with the
// shape of the whole tensor. Visitors count them, shard them over the mesh and bind them to weights or gradients;
// initial values and names in checkpoints come from the same list.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/mesh.h"
#include "tensor/box.h"

namespace sluice {

struct Init {
    enum Kind { normal, one, zero } kind = normal;
    double std = 0;
};
// What a tensor is to its optimizer:
//     map        a matrix that maps hidden states; Muon updates it as a whole; weight decay applies
//     rows       a matrix of which each row computes a number of its own: the head, routers; weight decay applies
//     plain      norms, biases, constants, the embedding: no weight decay
//     untrained  the router's selection bias: no gradient
enum class Role { map, rows, plain, untrained };
inline bool decays(Role role) { return role == Role::map || role == Role::rows; }

// How a tensor is sharded over the mesh, and over which group its gradient must still be summed after backward, before
// the sum over the data group.
struct ShardSpec {
    // The dimension that is split over the tensor group, into `parts` slices, each held by tensor / parts neighbouring
    // ranks; -1: none.
    int dimension = -1;
    int64_t parts = 1;
    bool experts = false;                                             // dimension 0 is split over the expert group
    enum Sum { whole, over_tensor, over_replicas } gradient = whole;  // whole: no sum is left

    static ShardSpec split(int dimension, int64_t parts) { return {dimension, parts, false, whole}; }
    // (experts, out, in): split by expert, and each expert's matrix along `dimension`, 1 or 2.
    static ShardSpec split_experts(int dimension, int64_t parts) { return {dimension, parts, true, whole}; }
    // Every rank of the tensor group has the whole tensor, and a partial sum of its gradient.
    static ShardSpec partial() { return {-1, 1, false, over_tensor}; }
};

struct TensorInfo {
    std::string name;
    std::vector<int64_t> shape;  // of the whole tensor; matrices are [out, in]
    Init init;
    Role role;
    ShardSpec sharding;
    Box box;         // the slice that this rank holds, row-major from `offset` in the flat array of all parameters
    int64_t offset;  // in elements
    int64_t count;   // elements of the slice

    bool trained() const { return role != Role::untrained; }
    int64_t whole_count() const { return volume(shape); }
};

// The slice of a tensor that a rank holds.
inline Box box_of(const std::vector<int64_t>& shape, const ShardSpec& sharding, const MeshCoord& coord) {
    Box box{std::vector<int64_t>(shape.size(), 0), shape};
    const auto keep = [&](size_t d, Slice slice) {
        box.start[d] = slice.begin;
        box.shape[d] = slice.size();
    };
    if (sharding.experts) keep(0, slice_of(shape[0], coord.expert, coord.expert_rank()));
    if (sharding.dimension >= 0)
        keep(size_t(sharding.dimension), slice_of(shape[size_t(sharding.dimension)], sharding.parts,
                                                  coord.tensor_rank * sharding.parts / coord.tensor));
    return box;
}
// Elements that every rank allocates for it: those of the largest slice, padded to 16.
inline int64_t capacity_of(std::vector<int64_t> shape, const ShardSpec& sharding, const MeshCoord& coord) {
    if (sharding.experts) shape[0] = ceil_div(shape[0], coord.expert);
    if (sharding.dimension >= 0) {
        int64_t& extent = shape[size_t(sharding.dimension)];
        extent = ceil_div(extent, sharding.parts);
    }
    return (volume(shape) + 15) / 16 * 16;
}

// Lists the tensors of a parameter set one after another, each aligned to 16 elements.
class TensorLister {
 public:
    explicit TensorLister(const MeshCoord& coord = {}) : coord_(coord) {}
    template <class T>
    void operator()(const std::string& name, T*&, std::vector<int64_t> shape, Init init, Role role,
                    ShardSpec sharding = {}) {
        Box box = box_of(shape, sharding, coord_);
        const int64_t count = volume(box.shape), capacity = capacity_of(shape, sharding, coord_);
        tensors.push_back({name, std::move(shape), init, role, sharding, std::move(box), end, count});
        end += capacity;
    }
    std::vector<TensorInfo> tensors;
    int64_t end = 0;  // elements, padding included: the same on every rank of a mesh

 private:
    MeshCoord coord_;
};

// Points a parameter set at a flat array that a TensorLister laid out.
template <class T>
class TensorBinder {
 public:
    TensorBinder(T* base, const MeshCoord& coord) : at_(base), coord_(coord) {}
    void operator()(const std::string&, T*& pointer, const std::vector<int64_t>& shape, Init, Role,
                    ShardSpec sharding = {}) {
        pointer = at_;
        at_ += capacity_of(shape, sharding, coord_);
    }

 private:
    T* at_;
    MeshCoord coord_;
};

}  // namespace sluice
