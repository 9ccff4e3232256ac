#include "optim/shards.h"

#include <algorithm>
#include <utility>

#include "optim/state.h"

namespace sluice {
namespace {

int64_t row_elements(const TensorInfo& t) { return t.box.shape[0] > 0 ? t.count / t.box.shape[0] : 0; }

// Whether one rank of the data group owns all rows of a tensor. A tensor of several matrices is divided by rows of
// dimension 0 as well: each of these rows is one or more whole matrices.
bool has_one_owner(const TensorInfo& t, const OptimizerSpec& spec) {
    return t.trained() && t.shape.size() == 2 && state_of(t, spec).shards == ShardRule::whole_matrices;
}

// A rank's slice of the rows where `owner` has all of them: empty on the others, and still in rank order.
Slice all_rows_at(int64_t owner, int64_t rank, int64_t rows) {
    return {rank > owner ? rows : 0, rank >= owner ? rows : 0};
}

// Elements of whole matrices that each rank owns so far. With more ranks than tensors the last ranks never own any.
class Loads {
 public:
    Loads(int64_t ranks, size_t tensors) : loads_(size_t(std::max<int64_t>(1, std::min(ranks, int64_t(tensors))))) {}
    int64_t least_loaded() const { return std::min_element(loads_.begin(), loads_.end()) - loads_.begin(); }
    // Adds to a rank's load; returns what it was.
    int64_t add(int64_t rank, int64_t elements) { return std::exchange(load(rank), load(rank) + elements); }
    int64_t largest() const { return *std::max_element(loads_.begin(), loads_.end()); }

 private:
    int64_t& load(int64_t rank) { return loads_[size_t(rank)]; }
    std::vector<int64_t> loads_;
};

}  // namespace

// The last slice of a vocabulary may be smaller than the others.
int64_t capacity_of_shard(const TensorInfo& t, const MeshCoord& coord, bool zero, const OptimizerSpec& spec) {
    if (!t.trained()) return 0;
    if (!zero || has_one_owner(t, spec)) return capacity_of(t.shape, t.sharding, coord);
    std::vector<int64_t> shape = t.shape;
    int64_t rows = shape[0];
    if (t.sharding.experts) rows = ceil_div(rows, coord.expert);
    if (t.sharding.dimension == 0) rows = ceil_div(rows, t.sharding.parts);
    ShardSpec others = t.sharding;
    others.experts = false;
    if (others.dimension == 0) others.dimension = -1;
    shape[0] = ceil_div(rows, t.sharding.experts ? coord.expert_copies() : coord.data);
    return capacity_of(shape, others, coord);
}

OptimizerShards::OptimizerShards(const std::vector<TensorInfo>& tensors, const MeshCoord& coord, bool zero,
                                 const OptimizerSpec& spec) {
    Loads loads(coord.data, tensors.size());
    std::vector<Loads> states(state_lengths_.size(), loads);  // by optimizer
    for (const TensorInfo& t : tensors) {
        // Tensor and expert group split the tensor into slices; the `ranks` ranks that hold the same slice divide its
        // rows. `copies` tensor ranks hold the same slice too, and the same rows of it.
        const int64_t ranks = t.sharding.experts ? coord.expert_copies() : coord.data, width = row_elements(t);
        const int64_t rank = t.sharding.experts ? coord.expert_copy() : coord.data_rank, rows = t.box.shape[0];
        const int64_t copies = t.sharding.dimension >= 0 ? coord.tensor / t.sharding.parts : coord.tensor;
        OptimizerShard s{};
        s.capacity = capacity_of_shard(t, coord, zero, spec);
        s.owner = has_one_owner(t, spec) ? loads.least_loaded() : -1;
        s.rows = s.owner < 0 ? slice_of(rows, ranks, rank) : all_rows_at(s.owner, rank, rows);
        s.some = s.owner < 0 ? s.rows.size() > 0 : s.owner == rank;
        s.begin = s.rows.begin * width;
        s.count = s.rows.size() * width;
        s.first = coord.tensor_rank % copies == 0;
        const size_t kind = size_t(kind_of(t, spec));
        if (s.owner >= 0) {
            s.offset = loads.add(s.owner, s.capacity);
            s.state = states[kind].add(s.owner, s.capacity);
        }
        if (zero && s.owner >= 0) {  // comes after all tensors that are divided: see below
            if (!s.some) s.capacity = 0;
        } else {
            s.offset = capacity_;
            s.state = state_lengths_[kind];
            capacity_ += s.capacity;
            state_lengths_[kind] += s.capacity;
        }
        shards_.push_back(std::move(s));
    }
    if (!zero) return;
    // Every rank reserves for its whole matrices what the rank with the most of them needs.
    for (size_t i = 0; i < shards_.size(); i++)
        if (shards_[i].owner >= 0) {
            shards_[i].offset += capacity_;
            shards_[i].state += state_lengths_[size_t(kind_of(tensors[i], spec))];
        }
    capacity_ += loads.largest();
    for (size_t kind = 0; kind < states.size(); kind++) state_lengths_[kind] += states[kind].largest();
}

int64_t OptimizerShards::state_capacity() const {
    int64_t elements = 0;
    for (const auto& [word, kind] : EnumNames<OptimizerKind>::all)
        elements += state_length(kind) * int64_t(state_of(kind).prefixes.size());
    return elements;
}

OptimizerShards::OptimizerShards(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero,
                                 const OptimizerSpec& spec)
    : OptimizerShards(tensors, mesh.coord, zero, spec) {
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& t = tensors[i];
        OptimizerShard& s = shards_[i];
        s.group = t.sharding.experts ? mesh.expert_data.get() : mesh.data.get();
        for (int r = 0; r < s.group->size(); r++)
            s.counts.push_back(s.owner < 0    ? slice_of(t.box.shape[0], s.group->size(), r).size() * row_elements(t)
                               : s.owner == r ? t.count
                                              : 0);
    }
}

Box box_of_rows(const TensorInfo& t, Slice rows) {
    Box box = t.box;
    box.start[0] += rows.begin;
    box.shape[0] = rows.size();
    return box;
}

}  // namespace sluice
