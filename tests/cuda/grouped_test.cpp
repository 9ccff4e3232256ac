// Linear maps of groups of unequal length on CUDA: blocks find their expert from offsets in device memory.
#include "cuda/case.h"

namespace sluice {
namespace {

struct Groups {
    std::vector<int64_t> rows;  // of each expert
    int64_t in, out;
    int64_t more = 0;  // rows that GroupedShape::rows counts beyond the last expert's
};
// Tiles are 64 rows: experts without rows, of less than a tile, of just a tile, and of more.
const Groups kGroups[] = {{{1}, 1, 1},
                          {{0, 3, 0, 0, 70, 1, 0}, 33, 3},
                          {{64, 0, 65, 128}, 8, 33},
                          {{0, 0, 5}, 100, 8, 9},
                          {{2, 130}, 16, 72, 1},
                          {{0, 0}, 8, 8, 70},
                          {{0, 0, 0}, 33, 3},
                          {{3, 1, 4, 1, 5, 9, 2, 6}, 3, 130},
                          {{17, 70}, 130, 1}};

template <class T>
class Grouped : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Grouped, Stored);

// The shape of a case, with offsets in its backend's memory.
template <class C>
GroupedShape shape_of(C& c, const Groups& groups) {
    std::vector<int64_t> offsets = {0};
    for (const int64_t rows : groups.rows) offsets.push_back(offsets.back() + rows);
    const int64_t rows = offsets.back() + groups.more, experts = int64_t(groups.rows.size());
    return {c.values("offsets", offsets), rows, experts, groups.in, groups.out};
}
std::string text(const Groups& groups) {
    std::string text = std::to_string(groups.in) + " -> " + std::to_string(groups.out) + ", rows";
    for (const int64_t rows : groups.rows) text += " " + std::to_string(rows);
    return text + " and " + std::to_string(groups.more);
}

// Rows beyond the last expert's stay as they were.
TYPED_TEST(Grouped, Forward) {
    for (const Groups& groups : kGroups) {
        SCOPED_TRACE(text(groups));
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const GroupedShape n = shape_of(c, groups);
            grouped_linear_forward<B>(c.stream(), c.T("y", n.rows, n.out), c.T("x", n.rows, n.in),
                                      c.T("w", n.experts * n.out, n.in), n);
            c.result("y");
        });
    }
}

TYPED_TEST(Grouped, BackwardInput) {
    for (const Groups& groups : kGroups)
        for (const Into into : {Into::overwrite, Into::add}) {
            SCOPED_TRACE(text(groups) + (into == Into::add ? ", adding" : ""));
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                const GroupedShape n = shape_of(c, groups);
                grouped_linear_backward_input<B>(c.stream(), c.T("dx", n.rows, n.in), c.T("dy", n.rows, n.out),
                                                 c.T("w", n.experts * n.out, n.in), n, into);
                c.result("dx");
            });
        }
}

// Gradients of experts without rows stay as they were.
TYPED_TEST(Grouped, BackwardWeight) {
    for (const Groups& groups : kGroups) {
        SCOPED_TRACE(text(groups));
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const GroupedShape n = shape_of(c, groups);
            grouped_linear_backward_weight<B>(c.stream(), c.G("dw", n.experts * n.out, n.in), c.T("dy", n.rows, n.out),
                                              c.T("x", n.rows, n.in), n);
            c.result("dw");
        });
    }
}

}  // namespace
}  // namespace sluice
