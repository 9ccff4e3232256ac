// Parameters: each layer lists its tensors once, v(prefix + name, pointer, {shape}, Init, Decay, Cut), shapes of the
// whole. Visitors count them, cut them for a place on the mesh, bind them to weights, gradients or moments, initialise
// them and name them in checkpoints.
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
// Matrices decay; vectors, norms, constants and the embedding do not. `untrained` tensors have no gradient: the
// router's selection bias.
enum class Decay { no, yes, untrained };

// Where else on the mesh a tensor is, and what its gradient still lacks after backward, before the sum over data.
struct Cut {
    // Dimension cut over the tensor group, into `parts` (each held by tensor / parts neighbours); -1: none.
    int dimension = -1;
    int64_t parts = 1;
    bool experts = false;  // dimension 0 is cut over the expert group
    // The gradient is a partial sum, to be added up over these ranks.
    enum Sum { whole, over_tensor, over_replicas } gradient = whole;
};

struct TensorInfo {
    std::string name;
    std::vector<int64_t> shape;  // of the whole; matrices [out, in]
    Init init;
    Decay decay;
    Cut cut;
    Box box;         // what this rank holds, row-major from `offset` in the flat set of all parameters
    int64_t offset;  // elements
    int64_t count;   // elements held

    bool trained() const { return decay != Decay::untrained; }
    int64_t whole_count() const { return volume(shape); }
};

// The box of a tensor at a place, and the elements that every place has room for.
inline Box box_of(const std::vector<int64_t>& shape, const Cut& cut, const Place& place) {
    Box box{std::vector<int64_t>(shape.size(), 0), shape};
    const auto keep = [&](size_t d, Part part) {
        box.start[d] = part.begin;
        box.shape[d] = part.size();
    };
    if (cut.experts) keep(0, part_of(shape[0], place.expert, place.expert_rank()));
    if (cut.dimension >= 0)
        keep(size_t(cut.dimension),
             part_of(shape[size_t(cut.dimension)], cut.parts, place.tensor_rank * cut.parts / place.tensor));
    return box;
}
inline int64_t room_of(std::vector<int64_t> shape, const Cut& cut, const Place& place) {
    if (cut.experts) shape[0] = largest_part(shape[0], place.expert);
    if (cut.dimension >= 0) {
        int64_t& extent = shape[size_t(cut.dimension)];
        extent = largest_part(extent, cut.parts);
    }
    return (volume(shape) + 15) / 16 * 16;
}

// Lists the tensors of a parameter set one after another, each aligned to 16 elements.
class TensorLister {
 public:
    explicit TensorLister(const Place& place = {}) : place_(place) {}
    template <class T>
    void operator()(const std::string& name, T*&, std::vector<int64_t> shape, Init init, Decay decay, Cut cut = {}) {
        Box box = box_of(shape, cut, place_);
        const int64_t count = volume(box.shape), room = room_of(shape, cut, place_);
        tensors.push_back({name, std::move(shape), init, decay, cut, std::move(box), end, count});
        end += room;
    }
    std::vector<TensorInfo> tensors;
    int64_t end = 0;  // elements, padding included: the same at every place of a mesh

 private:
    Place place_;
};

// Points a parameter set at a flat array that a TensorLister laid out.
template <class T>
class TensorBinder {
 public:
    TensorBinder(T* base, const Place& place) : at_(base), place_(place) {}
    void operator()(const std::string&, T*& pointer, const std::vector<int64_t>& shape, Init, Decay, Cut cut = {}) {
        pointer = at_;
        at_ += room_of(shape, cut, place_);
    }

 private:
    T* at_;
    Place place_;
};

}  // namespace sluice
