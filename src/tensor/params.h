// Parameters. Each layer lists its tensors once, v(prefix + name, pointer, {shape}, Init, Role, ShardSpec, Place), with
// the shape of the whole tensor. Weights are B::T, their gradients B::G, and what is not trained is B::A. Visitors
// count them, shard them over the mesh and bind them to weights or gradients; initial values and names in checkpoints
// come from the same list.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
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

// Where a tensor lies: `aligned` to 16 elements, or `below` the tensor that is listed before it, without a gap.
// Matrices below each other are one matrix: what reads one x is multiplied by one product. So each of them fills its
// slice on every rank: where a slice were smaller than the largest, a gap would follow.
enum class Place { aligned, below };

struct TensorInfo {
    std::string name;
    std::vector<int64_t> shape;  // of the whole tensor; matrices are [out, in]
    Init init;
    Role role;
    ShardSpec sharding;
    Box box;         // the slice that this rank holds, row-major from `offset` in its flat array
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
inline int64_t padded(int64_t elements) { return (elements + 15) / 16 * 16; }
// Elements of the largest slice of any rank, padding not included.
inline int64_t largest_slice(std::vector<int64_t> shape, const ShardSpec& sharding, const MeshCoord& coord) {
    if (sharding.experts) shape[0] = ceil_div(shape[0], coord.expert);
    if (sharding.dimension >= 0) {
        int64_t& extent = shape[size_t(sharding.dimension)];
        extent = ceil_div(extent, sharding.parts);
    }
    return volume(shape);
}
// Whether the slices of all ranks are as large as the largest.
inline bool fills_every_slice(const std::vector<int64_t>& shape, const ShardSpec& sharding, const MeshCoord& coord) {
    const bool by_expert = !sharding.experts || shape[0] % coord.expert == 0;
    return by_expert && (sharding.dimension < 0 || shape[size_t(sharding.dimension)] % sharding.parts == 0);
}
// Elements that every rank allocates for it.
inline int64_t capacity_of(const std::vector<int64_t>& shape, const ShardSpec& sharding, const MeshCoord& coord) {
    return padded(largest_slice(shape, sharding, coord));
}

// Where the next tensor of a flat array begins, in elements. A Failure where one lies below another and either does not
// fill its slice on every rank.
class Placer {
 public:
    explicit Placer(const MeshCoord& coord) : coord_(coord) {}
    int64_t place(const std::vector<int64_t>& shape, const ShardSpec& sharding, Place place) {
        const bool filled = std::exchange(filled_, fills_every_slice(shape, sharding, coord_));
        if (place == Place::below)
            check(filled && filled_, "a matrix below another one does not fill its slice on every rank");
        const int64_t begin = place == Place::below ? end_ : padded(end_);
        end_ = begin + largest_slice(shape, sharding, coord_);
        return begin;
    }
    int64_t end() const { return padded(end_); }
    const MeshCoord& coord() const { return coord_; }

 private:
    MeshCoord coord_;
    int64_t end_ = 0;
    bool filled_ = true;  // by the tensor that was placed last
};

// Elements of the flat array of what is trained (or is not), padding included: the same on every rank.
inline int64_t capacity_of(const std::vector<TensorInfo>& tensors, bool trained, const MeshCoord& coord) {
    int64_t end = 0;
    for (const TensorInfo& t : tensors)
        if (t.trained() == trained) end = t.offset + largest_slice(t.shape, t.sharding, coord);
    return padded(end);
}

// Lists the tensors of a parameter set one after another, in two flat arrays: those that are trained, and the others.
class TensorLister {
 public:
    explicit TensorLister(const MeshCoord& coord = {}) : trained_(coord), untrained_(coord) {}
    template <class T>
    void operator()(const std::string& name, T*&, std::vector<int64_t> shape, Init init, Role role,
                    ShardSpec sharding = {}, Place place = Place::aligned) {
        Box box = box_of(shape, sharding, trained_.coord());
        const int64_t count = volume(box.shape);
        const int64_t offset = (role == Role::untrained ? untrained_ : trained_).place(shape, sharding, place);
        tensors.push_back({name, std::move(shape), init, role, sharding, std::move(box), offset, count});
    }
    std::vector<TensorInfo> tensors;
    // Elements of the two flat arrays, padding included: the same on every rank of a mesh.
    int64_t end() const { return trained_.end(); }
    int64_t untrained_end() const { return untrained_.end(); }

 private:
    Placer trained_, untrained_;
};

// Points a parameter set at the flat arrays that a TensorLister laid out. X is T for weights, G for gradients; a null
// array binds nothing.
template <class X, class A>
class TensorBinder {
 public:
    TensorBinder(X* trained, A* untrained, const MeshCoord& coord)
        : trained_{trained, Placer(coord)}, untrained_{untrained, Placer(coord)} {}
    template <class Field>
    void operator()(const std::string&, Field*& pointer, const std::vector<int64_t>& shape, Init, Role role,
                    ShardSpec sharding = {}, Place place = Place::aligned) {
        if (role != Role::untrained)
            trained_.bind(pointer, shape, sharding, place);
        else
            untrained_.bind(pointer, shape, sharding, place);
    }

 private:
    template <class Y>
    struct Array {
        Y* base;
        Placer placer;
        template <class Field>
        void bind(Field*& pointer, const std::vector<int64_t>& shape, const ShardSpec& sharding, Place place) {
            const int64_t offset = placer.place(shape, sharding, place);
            if constexpr (std::is_same_v<Field, Y>) pointer = base ? base + offset : nullptr;
        }
    };
    Array<X> trained_;
    Array<A> untrained_;
};

}  // namespace sluice
