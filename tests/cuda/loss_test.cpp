// Cross-entropy on a GPU's backend. What is saved for backward is a backend's own affair, and is not compared.
#include <limits>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaLoss : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaLoss, Types);

enum class Saved { in_place, apart, not_at_all };

// Some targets are below 0, and some are the first and last ids.
std::vector<int32_t> targets(int64_t rows, int64_t ids) {
    std::vector<int32_t> t;
    for (int64_t r = 0; r < rows; r++)
        t.push_back(r % 5 == 2 ? -1 : r % 5 == 3 ? int32_t(ids - 1) : int32_t(r * 7 % ids));
    return t;
}

// Logits of `shards` equal shards, one after another, at most the last of which is not whole.
struct Sizes {
    int64_t rows, ids, shards = 1;
    double scale = 2;    // of logits
    int unaligned = -1;  // which of logits, saved begins an element later
};

template <class T>
void hold_loss(const Sizes& n, Saved how) {
    SCOPED_TRACE(testing::Message() << "rows " << n.rows << " ids " << n.ids << " shards " << n.shards << " saved "
                                    << int(how));
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        using BT = typename B::T;
        const int64_t each = (n.ids + n.shards - 1) / n.shards;
        const int32_t* ids = c.values("targets", targets(n.rows, n.ids));
        const auto vocab = [&](int64_t p) { return std::max<int64_t>(0, std::min(each, n.ids - p * each)); };
        auto* stats = c.A("stats", n.shards * n.rows, 3);
        std::vector<BT*> saved;
        for (int64_t p = 0; p < n.shards; p++) {
            const int64_t padded = n.rows + (n.unaligned >= 0);
            BT* logits = c.T("logits" + std::to_string(p), padded, vocab(p), n.scale) + (n.unaligned == 0);
            saved.push_back(how == Saved::not_at_all ? nullptr
                            : how == Saved::in_place
                                ? logits
                                : c.T("saved" + std::to_string(p), padded, vocab(p)) + (n.unaligned == 1));
            cross_entropy_stats<B>(c.stream(), stats + p * n.rows * 3, saved.back(), logits, ids, n.rows, p * each,
                                   vocab(p));
        }
        auto *losses = c.A("losses", 1, n.rows), *lse = c.A("lse", 1, n.rows);
        cross_entropy_join<B>(c.stream(), losses, lse, stats, ids, n.rows, n.shards);
        for (const char* name : {"stats", "losses", "lse"}) c.result(name);
        for (int64_t p = 0; how != Saved::not_at_all && p < n.shards; p++) {
            cross_entropy_backward<B>(c.stream(), saved[size_t(p)], stats + p * n.rows * 3, lse, ids, n.rows, p * each,
                                      vocab(p), 0.37);
            c.result((how == Saved::in_place ? "logits" : "saved") + std::to_string(p));
        }
    });
}

TYPED_TEST(CudaLoss, EverySize) {
    for (const auto& [rows, ids] : awkward_sizes()) hold_loss<TypeParam>({rows, ids}, Saved::in_place);
}

TYPED_TEST(CudaLoss, MoreLogitsThanABlockHasThreads) {
    for (const int64_t ids : {1000, 4096, 5003}) hold_loss<TypeParam>({3, ids}, Saved::in_place);
}

TYPED_TEST(CudaLoss, SavedApartOrNot) {
    for (const int64_t ids : {33, 64})
        for (const Saved how : {Saved::apart, Saved::not_at_all}) hold_loss<TypeParam>({70, ids}, how);
}

TYPED_TEST(CudaLoss, EachPointerUnalignedAlone) {
    for (const int unaligned : {0, 1}) hold_loss<TypeParam>({9, 64, 1, 2, unaligned}, Saved::apart);
}

// The last shard may be shorter, and may be empty.
TYPED_TEST(CudaLoss, Shards) {
    for (const Sizes& n : {Sizes{70, 96, 3}, {33, 100, 3}, {5, 9, 4}, {4, 2, 3}})
        hold_loss<TypeParam>(n, Saved::in_place);
}

TYPED_TEST(CudaLoss, LargeLogits) {
    for (const double scale : {0.01, 30.0}) hold_loss<TypeParam>({20, 130, 2, scale}, Saved::in_place);
}

// Logits of -inf, as masks make them, count for nothing: many before the first that is not, too.
TYPED_TEST(CudaLoss, MinusInfinity) {
    std::vector<double> logits(2 * 600, -std::numeric_limits<double>::infinity());
    logits[3] = 1, logits[599] = 2, logits[600 + 530] = -3;
    hold<TypeParam>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        auto* z = c.T_values("logits", logits);
        const int32_t* ids = c.values("targets", std::vector<int32_t>{3, 530});
        auto *stats = c.A("stats", 2, 3), *lse = c.A("lse", 1, 2);
        cross_entropy_stats<B>(c.stream(), stats, z, z, ids, 2, 0, 600);
        cross_entropy_join<B>(c.stream(), c.A("losses", 1, 2), lse, stats, ids, 2, 1);
        cross_entropy_backward<B>(c.stream(), z, stats, lse, ids, 2, 0, 600, 1);
        for (const char* name : {"stats", "lse", "losses", "logits"}) c.result(name);
    });
}

// A logit that is no number is not lost, wherever it stands.
TYPED_TEST(CudaLoss, NotANumber) {
    using B = Cuda<TypeParam>;
    for (const int64_t at : {0, 1, 299}) {
        Case<B, TypeParam> c(0);
        std::vector<double> logits(300, 1);
        logits[size_t(at)] = NAN;
        auto *stats = c.A("stats", 1, 3), *losses = c.A("losses", 1, 1);
        const int32_t* ids = c.values("targets", std::vector<int32_t>{5});
        cross_entropy_stats<B>(c.stream(), stats, nullptr, c.T_values("logits", logits), ids, 1, 0, 300);
        cross_entropy_join<B>(c.stream(), losses, c.A("lse", 1, 1), stats, ids, 1, 1);
        c.result("losses");
        EXPECT_TRUE(std::isnan(c.results().at("losses").values[0])) << at;
    }
}

TYPED_TEST(CudaLoss, SumOfLosses) {
    for (const int64_t rows : {0, 1, 70, 257, 5000})
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            sum_of_losses<B>(c.stream(), c.values("total", std::vector<double>{3}), c.A("losses", 1, rows), rows);
            c.result("total");
        });
}

}  // namespace
}  // namespace sluice
