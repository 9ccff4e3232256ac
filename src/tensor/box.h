// A box within a tensor: first index and extent along each dimension. It says which part a rank or a file holds.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace sluice {

// Elements of a shape.
inline int64_t volume(const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
}

struct Box {
    std::vector<int64_t> start, shape;
    bool operator==(const Box&) const = default;
};

// The intersection of two boxes of one tensor; an extent is 0 where they do not overlap.
inline Box intersection(const Box& a, const Box& b) {
    Box both = a;
    for (size_t d = 0; d < a.shape.size(); d++) {
        both.start[d] = std::max(a.start[d], b.start[d]);
        both.shape[d] =
            std::max<int64_t>(0, std::min(a.start[d] + a.shape[d], b.start[d] + b.shape[d]) - both.start[d]);
    }
    return both;
}

// `part` is a box within both a and b, whose memory is row-major. Calls run(offset in a, offset in b, count) for every
// run of elements of `part` that is contiguous in both. Offsets and counts are in elements.
template <class F>
void for_each_run(const Box& part, const Box& a, const Box& b, F run) {
    const size_t rank = part.shape.size();
    if (volume(part.shape) == 0) return;
    // Dimensions from `split` on form one contiguous run: the last ones, which part, a and b hold at the same extent,
    // and the one before these. The loop below counts `index` up over the dimensions before `split`.
    size_t split = rank;
    while (split > 0 && part.shape[split - 1] == a.shape[split - 1] && part.shape[split - 1] == b.shape[split - 1])
        split--;
    if (split > 0) split--;
    int64_t count = 1;
    for (size_t d = split; d < rank; d++) count *= part.shape[d];
    std::vector<int64_t> index(part.start);
    const auto offset = [&](const Box& box) {
        int64_t at = 0;
        for (size_t d = 0; d < rank; d++) at = at * box.shape[d] + index[d] - box.start[d];
        return at;
    };
    for (bool more = true; more;) {
        run(offset(a), offset(b), count);
        more = false;
        for (size_t d = split; d-- > 0 && !more;) {
            more = ++index[d] < part.start[d] + part.shape[d];
            if (!more) index[d] = part.start[d];
        }
    }
}

}  // namespace sluice
