#include "optim/shares.h"

#include "optim/state.h"

namespace sluice {
namespace {

int64_t row_elements(const TensorInfo& t) { return t.box.shape[0] > 0 ? t.count / t.box.shape[0] : 0; }

// Room for the share of a tensor; a vocabulary's last part may be smaller than the others'.
int64_t room_of_share(const TensorInfo& t, const Place& place, bool zero) {
    if (!t.trained()) return 0;
    std::vector<int64_t> shape = t.shape;
    if (zero) {
        int64_t rows = shape[0];
        if (t.cut.experts) rows = largest_part(rows, place.expert);
        if (t.cut.dimension == 0) rows = largest_part(rows, t.cut.parts);
        Cut others = t.cut;
        others.experts = false;
        if (others.dimension == 0) others.dimension = -1;
        shape[0] = largest_part(rows, t.cut.experts ? place.expert_copies() : place.data);
        return room_of(shape, others, place);
    }
    return room_of(shape, t.cut, place);
}

}  // namespace

Shares::Shares(const std::vector<TensorInfo>& tensors, const Place& place, bool zero, const OptimizerSpec& spec) {
    for (const TensorInfo& t : tensors) {
        const int64_t ranks = t.cut.experts ? place.expert_copies() : place.data, width = row_elements(t);
        const int64_t rank = t.cut.experts ? place.expert_copy() : place.data_rank;
        const int64_t copies = t.cut.dimension >= 0 ? place.tensor / t.cut.parts : place.tensor;
        Share s{};
        s.rows = part_of(t.box.shape[0], ranks, rank);
        s.begin = s.rows.begin * width;
        s.count = s.rows.size() * width;
        s.first = place.tensor_rank % copies == 0;
        s.room = room_of_share(t, place, zero);
        s.offset = room_;
        s.state = state_room_;
        room_ += s.room;
        state_room_ += s.room * int64_t(state_of(t, spec).prefixes.size());
        shares_.push_back(std::move(s));
    }
}

Shares::Shares(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero, const OptimizerSpec& spec)
    : Shares(tensors, mesh.place, zero, spec) {
    for (size_t i = 0; i < tensors.size(); i++) {
        const TensorInfo& t = tensors[i];
        Share& s = shares_[i];
        s.group = t.cut.experts ? mesh.expert_data.get() : mesh.data.get();
        for (int r = 0; r < s.group->size(); r++)
            s.counts.push_back(part_of(t.box.shape[0], s.group->size(), r).size() * row_elements(t));
    }
}

Box box_of_rows(const TensorInfo& t, Part rows) {
    Box box = t.box;
    box.start[0] += rows.begin;
    box.shape[0] = rows.size();
    return box;
}

}  // namespace sluice
