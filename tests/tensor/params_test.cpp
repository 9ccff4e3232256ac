// Where tensors lie in their flat arrays.
#include "tensor/params.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr Init kInit{Init::normal, 1};

// Lists matrices (rows, 3), split by rows over `parts` ranks, of which the later lie below the first.
std::vector<TensorInfo> list(const std::vector<int64_t>& rows, int64_t parts, int64_t rank) {
    MeshCoord coord;
    coord.tensor = parts;
    coord.tensor_rank = rank;
    TensorLister lister(coord);
    float* none = nullptr;
    for (size_t i = 0; i < rows.size(); i++)
        lister("w", none, {rows[i], 3}, kInit, Role::map, ShardSpec::split(0, parts),
               i == 0 ? Place::aligned : Place::below);
    return lister.tensors;
}

TEST(Params, MatricesBelowEachOtherHaveNoGap) {
    for (const int64_t rank : {0, 1}) {
        const auto tensors = list({4, 2, 6}, 2, rank);
        EXPECT_EQ(tensors[0].offset, 0);
        EXPECT_EQ(tensors[1].offset, 6);
        EXPECT_EQ(tensors[2].offset, 9);
    }
}

// Of 5 rows the first rank has 3, and the second 2, behind which a gap of a row would follow: every rank refuses.
TEST(Params, AMatrixBelowAnotherFillsItsSliceOnEveryRank) {
    for (const int64_t rank : {0, 1}) {
        EXPECT_THROW(list({5, 4}, 2, rank), Failure) << rank;
        EXPECT_THROW(list({4, 5}, 2, rank), Failure) << rank;
        EXPECT_EQ(list({5}, 2, rank).size(), 1u);
    }
    MeshCoord coord;
    coord.data = coord.expert = 2;
    float* none = nullptr;
    ShardSpec experts;
    experts.experts = true;
    Placer placer(coord);
    placer.place({3, 4, 2}, experts, Place::aligned);
    EXPECT_THROW(placer.place({4, 4, 2}, experts, Place::below), Failure);
    // Weights and gradients are bound as they are listed.
    TensorBinder<float, float> binder(nullptr, nullptr, {.tensor = 2});
    binder("w", none, {5, 3}, kInit, Role::map, ShardSpec::split(0, 2));
    EXPECT_THROW(binder("w", none, {4, 3}, kInit, Role::map, ShardSpec::split(0, 2), Place::below), Failure);
}

}  // namespace
}  // namespace sluice
