#include "optim/shares.h"

#include <algorithm>
#include <utility>

#include "optim/state.h"

namespace sluice {
namespace {

int64_t row_elements(const TensorInfo& t) { return t.box.shape[0] > 0 ? t.count / t.box.shape[0] : 0; }

// Whether a rank of the data group has all of a tensor, and not its share of the rows. Several matrices are cut between
// them: a row of dimension 0 is whole matrices.
bool goes_whole(const TensorInfo& t, const OptimizerSpec& spec) {
    return t.trained() && t.shape.size() == 2 && state_of(t, spec).shards == ShardRule::whole_matrices;
}

// The parts that ranks have, in order, where one has all.
Part all_rows_at(int64_t owner, int64_t rank, int64_t rows) {
    return {rank > owner ? rows : 0, rank >= owner ? rows : 0};
}

// Elements that ranks have been dealt so far; those beyond as many ranks as things dealt never get any.
class Dealer {
 public:
    Dealer(int64_t ranks, size_t things) : loads_(size_t(std::max<int64_t>(1, std::min(ranks, int64_t(things))))) {}
    int64_t least() const { return std::min_element(loads_.begin(), loads_.end()) - loads_.begin(); }
    // Gives to a rank; returns what it had.
    int64_t give(int64_t rank, int64_t elements) { return std::exchange(load(rank), load(rank) + elements); }
    int64_t most() const { return *std::max_element(loads_.begin(), loads_.end()); }

 private:
    int64_t& load(int64_t rank) { return loads_[size_t(rank)]; }
    std::vector<int64_t> loads_;
};

}  // namespace

// A vocabulary's last part may be smaller than the others'.
int64_t room_of_share(const TensorInfo& t, const Place& place, bool zero, const OptimizerSpec& spec) {
    if (!t.trained()) return 0;
    if (!zero || goes_whole(t, spec)) return room_of(t.shape, t.cut, place);
    std::vector<int64_t> shape = t.shape;
    int64_t rows = shape[0];
    if (t.cut.experts) rows = largest_part(rows, place.expert);
    if (t.cut.dimension == 0) rows = largest_part(rows, t.cut.parts);
    Cut others = t.cut;
    others.experts = false;
    if (others.dimension == 0) others.dimension = -1;
    shape[0] = largest_part(rows, t.cut.experts ? place.expert_copies() : place.data);
    return room_of(shape, others, place);
}

Shares::Shares(const std::vector<TensorInfo>& tensors, const Place& place, bool zero, const OptimizerSpec& spec) {
    Dealer dealer(place.data, tensors.size());
    for (const TensorInfo& t : tensors) {
        const int64_t ranks = t.cut.experts ? place.expert_copies() : place.data, width = row_elements(t);
        const int64_t rank = t.cut.experts ? place.expert_copy() : place.data_rank, rows = t.box.shape[0];
        const int64_t copies = t.cut.dimension >= 0 ? place.tensor / t.cut.parts : place.tensor;
        Share s{};
        s.room = room_of_share(t, place, zero, spec);
        s.owner = goes_whole(t, spec) ? dealer.least() : -1;
        s.rows = s.owner < 0 ? part_of(rows, ranks, rank) : all_rows_at(s.owner, rank, rows);
        s.some = s.owner < 0 ? s.rows.size() > 0 : s.owner == rank;
        s.begin = s.rows.begin * width;
        s.count = s.rows.size() * width;
        s.first = place.tensor_rank % copies == 0;
        const int64_t dealt = s.owner < 0 ? 0 : dealer.give(s.owner, s.room);
        if (zero && s.owner >= 0) {  // lies behind what all ranks have a part of
            s.offset = s.state = dealt;
            if (!s.some) s.room = 0;
        } else {
            s.offset = room_;
            s.state = state_room_;
            room_ += s.room;
            state_room_ += s.room * int64_t(state_of(t, spec).prefixes.size());
        }
        shares_.push_back(std::move(s));
    }
    if (!zero) return;
    for (Share& s : shares_)
        if (s.owner >= 0) {
            s.offset += room_;
            s.state += state_room_;
        }
    room_ += dealer.most();
    state_room_ += dealer.most();  // one state tensor each
}

Shares::Shares(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero, const OptimizerSpec& spec)
    : Shares(tensors, mesh.place, zero, spec) {
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& t = tensors[i];
        Share& s = shares_[i];
        s.group = t.cut.experts ? mesh.expert_data.get() : mesh.data.get();
        for (int r = 0; r < s.group->size(); r++)
            s.counts.push_back(s.owner < 0    ? part_of(t.box.shape[0], s.group->size(), r).size() * row_elements(t)
                               : s.owner == r ? t.count
                                              : 0);
    }
}

Box box_of_rows(const TensorInfo& t, Part rows) {
    Box box = t.box;
    box.start[0] += rows.begin;
    box.shape[0] = rows.size();
    return box;
}

}  // namespace sluice
