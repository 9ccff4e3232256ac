#include "optim/shares.h"

namespace sluice {
namespace {

int64_t row_elements(const TensorInfo& t) { return t.box.shape[0] > 0 ? t.count / t.box.shape[0] : 0; }

// Room for the optimizer's state of a tensor; a vocabulary's last part may be smaller than the others'.
int64_t state_room(const TensorInfo& t, const Place& place, bool zero) {
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

Shares::Shares(const std::vector<TensorInfo>& tensors, Mesh& mesh, bool zero) {
    for (const TensorInfo& t : tensors) {
        Share s;
        s.group = t.cut.experts ? mesh.expert_data.get() : mesh.data.get();
        const int64_t width = row_elements(t);
        for (int r = 0; r < s.group->size(); r++)
            s.counts.push_back(part_of(t.box.shape[0], s.group->size(), r).size() * width);
        s.rows = part_of(t.box.shape[0], s.group->size(), s.group->rank());
        s.begin = s.rows.begin * width;
        s.count = s.rows.size() * width;
        const int64_t copies = t.cut.dimension >= 0 ? mesh.place.tensor / t.cut.parts : mesh.place.tensor;
        s.first = mesh.place.tensor_rank % copies == 0;
        s.state = state_;
        state_ += state_room(t, mesh.place, zero);
        shares_.push_back(std::move(s));
    }
}

int64_t optimizer_state(const std::vector<TensorInfo>& tensors, const Place& place, bool zero) {
    int64_t elements = 0;
    for (const TensorInfo& t : tensors) elements += state_room(t, place, zero);
    return elements;
}

Box box_of_rows(const TensorInfo& t, Part rows) {
    Box box = t.box;
    box.start[0] += rows.begin;
    box.shape[0] = rows.size();
    return box;
}

}  // namespace sluice
