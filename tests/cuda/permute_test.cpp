// The stable sort of assignments by expert, and the moves of rows to experts and back.
#include <algorithm>
#include <array>
#include <numeric>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class PermuteOnDevice : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(PermuteOnDevice, Types);

// Experts of `count` assignments: the lower, the more. Beyond `used` none is chosen.
std::vector<int32_t> assignments(int64_t count, int64_t used) {
    std::mt19937_64 random(uint64_t(count * 1000 + used));
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < count; i++) {
        const int64_t a = int64_t(random() % uint64_t(used)), b = int64_t(random() % uint64_t(used));
        ids.push_back(int32_t(std::min(a, b)));
    }
    return ids;
}
std::vector<int64_t> counted(const std::vector<int32_t>& ids, int64_t experts) {
    std::vector<int64_t> counts(size_t(experts), 0);
    for (const int32_t id : ids) counts[size_t(id)]++;
    return counts;
}
// The numbers 0 .. count - 1 in some order.
std::vector<int32_t> shuffled(int64_t count) {
    std::vector<int32_t> order(size_t(count), 0);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(uint64_t(count)));
    return order;
}

template <class C>
void sort_case(C& c, const std::vector<int32_t>& ids, int64_t experts) {
    const int64_t count = int64_t(ids.size());
    sort_by_expert<typename C::Backend>(c.stream(), c.values("permutation", std::vector<int32_t>(ids.size(), -7)),
                                        c.values("ids", ids), c.values("counts", counted(ids, experts)), count,
                                        experts);
    c.result("permutation");
}

TYPED_TEST(PermuteOnDevice, SortsStably) {
    for (const auto [count, experts, used] : {std::array{1, 1, 1},
                                              {70, 1, 1},
                                              {257, 3, 3},
                                              {256, 8, 5},
                                              {0, 8, 8},
                                              {33, 512, 512},
                                              {5000, 33, 33},
                                              {2049, 100, 7},
                                              {4500, 512, 512},
                                              {2600, 130, 130}}) {
        SCOPED_TRACE(testing::Message() << count << " assignments to " << experts << " experts");
        hold<TypeParam>([&](auto& c) { sort_case(c, assignments(count, used), experts); });
    }
    hold<TypeParam>([&](auto& c) { sort_case(c, std::vector<int32_t>(700, 4), 5); });  // all to the last
}

// So many that chunks are longer than the least.
TEST(PermuteOnDevice, SortsMany) {
    const std::vector<int32_t> ids = assignments(540000, 2);
    Case<Cpu<double>, float> reference(0);
    Case<Cuda<float>, float> tested(0);
    sort_case(reference, ids, 2);
    sort_case(tested, ids, 2);
    EXPECT_EQ(tested.results().at("permutation").values, reference.results().at("permutation").values);
}

TYPED_TEST(PermuteOnDevice, FindsWhereRowsArrive) {
    for (const auto [ranks, experts] : {std::array{1, 1}, {1, 8}, {3, 2}, {2, 33}, {1, 130}, {2, 512}, {64, 3}}) {
        std::vector<int64_t> counts;
        for (int i = 0; i < ranks * experts; i++) counts.push_back(i % 3 == 1 ? 0 : i * 7 % 5 + (i == 4 ? 600 : 0));
        const int64_t rows = std::accumulate(counts.begin(), counts.end(), int64_t{0});
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const int64_t* sent = c.values("counts", counts);
            expert_offsets<B>(c.stream(), c.values("offsets", std::vector<int64_t>(size_t(experts) + 1, -7)), sent,
                              ranks, experts);
            c.result("offsets");
            if (ranks * experts > 200) return;  // a block each
            expert_arrivals<B>(c.stream(), c.values("index", std::vector<int32_t>(size_t(rows), -7)), sent, ranks,
                               experts);
            c.result("index");
        });
    }
    // Counts above 2^32 add up.
    hold<TypeParam>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        const std::vector<int64_t> counts{int64_t{3} << 31, 5, int64_t{1} << 33, 7};
        expert_offsets<B>(c.stream(), c.values("offsets", std::vector<int64_t>(3, -7)), c.values("counts", counts), 2,
                          2);
        c.result("offsets");
    });
}

// Rows of T, and of A where these differ.
TYPED_TEST(PermuteOnDevice, MovesRows) {
    for (const int64_t width : awkward_widths({136, 1100}))
        for (const auto [tokens, top_k] : {std::array{0, 2}, {1, 1}, {70, 1}, {23, 3}, {257, 1}}) {
            if (tokens > 100 && width > 33) continue;
            SCOPED_TRACE(testing::Message() << tokens << " tokens of " << top_k << ", width " << width);
            const int64_t count = tokens * top_k;
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                const int32_t* index = c.values("order", shuffled(count));
                const auto of_t = [&](const char* name, int64_t rows) { return c.T(name, rows, width); };
                const auto of_a = [&](const char* name, int64_t rows) { return c.A(name, rows, width); };
                gather_rows<B>(c.stream(), of_t("gathered", count), of_t("y", count), index, count, width);
                gather_rows<B>(c.stream(), of_a("gathered_a", count), of_a("y_a", count), index, count, width);
                scatter_rows<B>(c.stream(), of_t("copies", count), of_t("x", tokens), index, tokens, top_k, width);
                scatter_rows<B>(c.stream(), of_a("copies_a", count), of_a("x_a", tokens), index, tokens, top_k, width);
                for (const char* name : {"gathered", "gathered_a", "copies", "copies_a"}) c.result(name);
            });
        }
}

TYPED_TEST(PermuteOnDevice, AddsRows) {
    for (const int64_t width : awkward_widths({136, 1100}))
        for (const auto [rows, per] : {std::array{0, 2}, {1, 3}, {70, 2}, {33, 8}, {257, 1}}) {
            if (rows > 100 && width > 33) continue;
            SCOPED_TRACE(testing::Message() << rows << " rows of " << per << ", width " << width);
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                const int32_t* index = c.values("order", shuffled(rows * per));
                const auto* x = c.T("x", rows * per, width);
                sum_rows_at<B>(c.stream(), c.T("sum", rows, width), x, index, rows, per, width, Into::overwrite);
                sum_rows_at<B>(c.stream(), c.T("more", rows, width), x, index, rows, per, width, Into::add);
                c.result("sum");
                c.result("more");
            });
        }
}

TYPED_TEST(PermuteOnDevice, TakesEachPointerUnalignedAlone) {
    for (const int64_t shift : {0, 1})
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            constexpr int64_t kRows = 6, kWidth = 16;
            const int32_t* index = c.values("order", shuffled(kRows));
            const auto* x = c.T("x", kRows + 1, kWidth) + shift;
            const auto out = [&](const char* name) {
                c.result(name);
                return c.T(name, kRows + 1, kWidth) + (1 - shift);
            };
            gather_rows<B>(c.stream(), out("gathered"), x, index, kRows, kWidth);
            scatter_rows<B>(c.stream(), out("copies"), x, index, kRows / 2, 2, kWidth);
            sum_rows_at<B>(c.stream(), out("sum"), x, index, kRows / 2, 2, kWidth, Into::overwrite);
        });
}

}  // namespace
}  // namespace sluice
