// The router of a mixture of experts: forward, backward, sums and counts, and the bad values that reach it.
#include <array>
#include <limits>

#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class RouterOnDevice : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RouterOnDevice, Types);

// Every op of the router; logits lie as far apart as normal numbers do. shift: elements by which logits, probs and
// dlogits begin later.
template <class C>
void route(C& c, const RouterShape& n, bool biased, std::array<int64_t, 3> shift = {}) {
    using B = typename C::Backend;
    const auto *logits = c.A("logits", n.rows + 1, n.experts) + shift[0], *load = c.A("load", 1, n.experts);
    const auto* bias = biased ? c.A("bias", 1, n.experts, 0.1) : nullptr;
    auto *probs = c.A("probs", n.rows + 1, n.experts) + shift[1], *lse = c.A("lse", n.rows, 1);
    auto* dlogits = c.T("dlogits", n.rows + 1, n.experts) + shift[2];
    auto* weights = c.A("weights", n.rows, n.top_k);
    int32_t* ids = c.values("topk_ids", std::vector<int32_t>(size_t(n.rows * n.top_k), -7));
    int64_t* counts = c.values("tokens_per_expert", std::vector<int64_t>(size_t(n.experts), -7));
    router_forward<B>(c.stream(), probs, lse, ids, weights, counts, logits, bias, n);
    router_backward<B>(c.stream(), dlogits, c.A("dweights", n.rows, n.top_k), probs, lse, ids, weights, load, 0.3, 0.2,
                       n);
    double* sums = c.values("sums", std::vector<double>{1, 2, 3});
    router_sums<B>(c.stream(), reinterpret_cast<RouterSums*>(sums), logits, probs, lse, load, 0.7, n);
    for (const char* name : {"probs", "lse", "topk_ids", "weights", "tokens_per_expert", "dlogits", "sums"})
        c.result(name);
}
template <class T>
void hold_router(const RouterShape& n, bool biased) {
    SCOPED_TRACE(testing::Message() << "rows " << n.rows << " experts " << n.experts << " top_k " << n.top_k
                                    << (n.normalise ? " normalised" : "") << (biased ? " biased" : ""));
    hold<T>([&](auto& c) { route(c, n, biased); });
}

TYPED_TEST(RouterOnDevice, HoldsInEverySize) {
    for (const auto [rows, experts, top_k] : {std::array{70, 1, 1},
                                              {257, 3, 2},
                                              {70, 8, 8},
                                              {70, 32, 4},
                                              {70, 33, 5},
                                              {9, 100, 8},
                                              {7, 130, 130},
                                              {1, 64, 6},
                                              {9, 128, 1},
                                              {9, 256, 8},
                                              {3, 257, 40},
                                              {3, 512, 33},
                                              {0, 8, 2}})
        for (const bool normalise : {false, true}) hold_router<TypeParam>({rows, experts, top_k, normalise}, normalise);
    hold_router<TypeParam>({11, 12, 3, true}, false);
    hold_router<TypeParam>({11, 12, 3, false}, true);
}

TYPED_TEST(RouterOnDevice, TakesEachPointerUnalignedAlone) {
    for (const auto shift : {std::array<int64_t, 3>{1, 0, 0}, {0, 1, 0}, {0, 0, 1}})
        hold<TypeParam>([&](auto& c) { route(c, {5, 64, 3, true}, false, shift); });
}

// So many rows that a warp takes several.
TEST(RouterOnDevice, TakesManyRows) {
    const RouterShape n{8200, 2, 1, true};
    Case<Cpu<double>, float> reference(0);
    Case<Cuda<float>, float> tested(0);
    route(reference, n, true);
    route(tested, n, true);
    const auto want = reference.results();
    for (const auto& [name, result] : tested.results()) expect_near(name, result, want.at(name));
}

// What was chosen for the given logits (rows, experts): the same as on the CPU, with bits to compare.
template <class T>
void hold_choice(const std::vector<double>& logits, const std::vector<double>& bias, const RouterShape& n) {
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        int32_t* ids = c.values("topk_ids", std::vector<int32_t>(size_t(n.rows * n.top_k), -7));
        int64_t* counts = c.values("tokens_per_expert", std::vector<int64_t>(size_t(n.experts), -7));
        router_forward<B>(c.stream(), c.A("probs", n.rows, n.experts), c.A("lse", n.rows, 1), ids,
                          c.A("weights", n.rows, n.top_k), counts, c.A_values("logits", logits),
                          bias.empty() ? nullptr : c.A_values("bias", bias), n);
        for (const char* name : {"probs", "lse", "topk_ids", "weights", "tokens_per_expert"}) c.result(name);
    });
}

TYPED_TEST(RouterOnDevice, TheLowerIndexWinsATie) {
    for (const int64_t experts : {4, 33, 128, 130, 512}) {
        const RouterShape n{3, experts, std::min<int64_t>(experts, 70), true};
        std::vector<double> logits(size_t(n.rows * experts));
        for (size_t i = 0; i < logits.size(); i++) logits[i] = double(i * 7 % 5);
        hold_choice<TypeParam>(logits, {}, n);
        hold_choice<TypeParam>(std::vector<double>(logits.size(), 2.5), {}, n);
    }
}

TYPED_TEST(RouterOnDevice, BiasesChooseOnly) {
    hold_choice<TypeParam>({1, 2, 3, 4, 4, 3, 2, 1}, {5, 0, 0, -5}, {2, 4, 2, false});
    const double infinite = std::numeric_limits<double>::infinity();
    hold_choice<TypeParam>({1, 2, 3, 4, 4, 3, 2, 1}, {-infinite, 0, infinite, -infinite}, {2, 4, 4, false});
}

// A step that is not finite is found later, by its loss; until then every id must be one of an expert.
TYPED_TEST(RouterOnDevice, ChoosesAsTheCpuDoesFromWhatIsNotANumber) {
    const double infinite = std::numeric_limits<double>::infinity(), nan = std::nan("");
    for (const int64_t experts : {5, 40, 132})
        for (const double bad : {nan, infinite, -infinite}) {
            std::vector<double> logits(size_t(4 * experts), 0.5);
            logits[1] = bad;
            std::fill_n(logits.begin() + 2 * experts, experts, bad);
            hold_choice<TypeParam>(logits, {}, {4, experts, 4, true});
        }
}

TYPED_TEST(RouterOnDevice, CountsLoadsAndBiases) {
    for (const size_t experts : {1, 3, 8, 100, 257, 512}) {
        std::vector<int64_t> counts(experts), total(experts, int64_t{1} << 40);
        for (size_t e = 0; e < experts; e++) counts[e] = int64_t(e * e % 23) << 33;
        if (experts == 8) counts.assign(experts, 0);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            const int64_t* seen = c.values("counts", counts);
            add_counts<B>(c.stream(), c.values("total", total), seen, int64_t(experts));
            expert_load<B>(c.stream(), c.A("load", 1, int64_t(experts)), seen, int64_t(experts));
            move_router_bias<B>(c.stream(), c.A("bias", 1, int64_t(experts)), seen, int64_t(experts), 0.01);
            for (const char* name : {"total", "load", "bias"}) c.result(name);
        });
    }
}

}  // namespace
}  // namespace sluice
