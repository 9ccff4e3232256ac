// Switch Heads on a GPU's backend.
#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaSwitchHeads : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaSwitchHeads, Types);

struct Sizes {
    int64_t rows, heads, experts, dim, top_k;
    // Elements by which rows of y and s, and those of their gradients, are wider than they need be.
    int64_t more = 0, more_of_gradients = 0;
    int unaligned = -1;  // which of y, dy, dout, out begins an element later
};

// Where a part of rows that are `more` elements wider begins: aligned, so that the stride alone may not be.
int64_t begin(int64_t more) { return more % 8 ? 0 : more; }

// Scores are random, or as given.
template <class T>
void hold_switch(const Sizes& n, const std::vector<double>& scores = {}) {
    SCOPED_TRACE(testing::Message() << "rows " << n.rows << " heads " << n.heads << " experts " << n.experts << " dim "
                                    << n.dim << " top k " << n.top_k << " more " << n.more);
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        using BT = typename B::T;
        const int64_t of_s = n.heads * n.experts, of_y = of_s * n.dim;
        const int64_t padded = n.rows + (n.unaligned >= 0);
        const Rows<const BT> y = c.part("y", padded, of_y + n.more, begin(n.more) + (n.unaligned == 0));
        Rows<const BT> s = c.part("s", n.rows, of_s + n.more, begin(n.more));
        if (!scores.empty()) s = {c.T_values("given", scores), n.heads * n.experts};
        switch_forward<B>(c.stream(), c.T("out", padded, n.heads * n.dim) + (n.unaligned == 3), y, s, n.rows, n.heads,
                          n.experts, n.dim, n.top_k);
        const int64_t more = n.more_of_gradients;
        switch_backward<B>(c.stream(), c.part("dy", padded, of_y + more, begin(more) + (n.unaligned == 1)),
                           c.part("ds", n.rows, of_s + more, begin(more)),
                           c.T("dout", padded, n.heads * n.dim) + (n.unaligned == 2), y, s, n.rows, n.heads, n.experts,
                           n.dim, n.top_k);
        c.result("out");
        c.result("dy");
        c.result("ds");
    });
}

TYPED_TEST(CudaSwitchHeads, EverySize) {
    for (const Sizes& n : {Sizes{1, 1, 1, 1, 1},
                           {70, 2, 4, 2, 2},
                           {257, 1, 3, 3, 1},
                           {33, 3, 5, 8, 2},
                           {9, 2, 4, 33, 3},
                           {5, 3, 4, 100, 2},
                           {3, 1, 6, 130, 6},
                           {3, 2, 4, 256, 2},
                           {40, 1, 4, 64, 1},
                           {0, 2, 4, 8, 2}})
        hold_switch<TypeParam>(n);
}

// More experts than a team has threads, and than a warp; and so many that a block has room for few teams.
TYPED_TEST(CudaSwitchHeads, ManyExperts) {
    for (const Sizes& n : {Sizes{5, 2, 40, 8, 7}, {3, 1, 70, 16, 3}, {2, 1, Cuda<TypeParam>::kMostSwitchExperts, 8, 2}})
        hold_switch<TypeParam>(n);
}

TYPED_TEST(CudaSwitchHeads, RowsOfWiderMatrices) {
    for (const auto& [more, more_of_gradients] : {std::pair{16, 16}, {3, 16}, {16, 3}})
        hold_switch<TypeParam>({21, 2, 4, 16, 2, more, more_of_gradients});
}

TYPED_TEST(CudaSwitchHeads, EachPointerUnalignedAlone) {
    for (const int unaligned : {0, 1, 2, 3}) hold_switch<TypeParam>({9, 2, 4, 16, 2, 0, 0, unaligned});
}

// Of equal scores the lower index wins; scores that are far from 0 open or close an expert.
TYPED_TEST(CudaSwitchHeads, EqualAndExtremeScores) {
    const std::vector<std::vector<double>> rows{{1, 1, 1, 1, 0, 2, 2, 2},
                                                {-200, -200, -300, -200, 1, -1, 0.5, 0},
                                                {200, -1, 90, 200, 0, 0, 1, 0},
                                                {-90, 90, -90, 90, 3, 1, 3, 1}};
    std::vector<double> scores;
    for (const auto& row : rows) scores.insert(scores.end(), row.begin(), row.end());
    for (const int64_t top_k : {1, 2, 3}) hold_switch<TypeParam>({4, 2, 4, 8, top_k}, scores);
}

// An expert that is not chosen may hold anything.
TYPED_TEST(CudaSwitchHeads, NeverLooksAtOthers) {
    std::vector<double> y(3 * 8, 1);
    for (size_t i = 8; i < 16; i++) y[i] = NAN;
    hold<TypeParam>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        using BT = typename B::T;
        const Rows<const BT> given{c.T_values("given", y), 24}, s{c.T_values("scores", {1, -1, 0}), 3};
        switch_forward<B>(c.stream(), c.T("out", 1, 8), given, s, 1, 1, 3, 8, 2);
        c.result("out");
    });
}

}  // namespace
}  // namespace sluice
