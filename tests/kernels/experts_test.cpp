// Routing and experts: gradients of every op, ties, ragged and empty groups.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "kernels/ops.h"
#include "support/hold.h"

namespace sluice {
namespace {

// Outputs: the weights, then sum_te slope_e p_te, then sum_t lse_t^2.
TEST(Router, Gradients) {
    for (const auto [rows, experts, top_k] : {std::array{3, 4, 2}, {70, 5, 1}, {2, 1, 1}, {4, 6, 6}})
        for (const bool normalise : {false, true}) {
            const RouterShape n{rows, experts, top_k, normalise};
            const auto slopes = noise(size_t(experts), 9), bias = noise(size_t(experts), 4);
            for (const bool biased : {false, true})
                hold("router", {noise(size_t(rows * experts), 1)}, size_t(rows * top_k + 2),
                     [&]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                         std::vector<T> probs(x[0].size()), lse(size_t(n.rows)), weights(size_t(n.rows * n.top_k)),
                             slope = cast<T>(slopes), b = cast<T>(bias);
                         std::vector<int32_t> topk_ids(weights.size());
                         std::vector<int64_t> tokens_per_expert(size_t(n.experts));
                         router_forward<Cpu<T>>({}, probs.data(), lse.data(), topk_ids.data(), weights.data(),
                                                tokens_per_expert.data(), x[0].data(), biased ? b.data() : nullptr, n);
                         EXPECT_EQ(std::accumulate(tokens_per_expert.begin(), tokens_per_expert.end(), int64_t{0}),
                                   n.rows * n.top_k);
                         RouterSums sums;
                         router_sums<Cpu<T>>({}, &sums, x[0].data(), probs.data(), lse.data(), slope.data(), 1, n);
                         std::copy(weights.begin(), weights.end(), y.begin());
                         y[weights.size()] = T(sums.balance);
                         y[weights.size() + 1] = T(sums.z);
                         Tensors<T> g{std::vector<T>(x[0].size())};
                         router_backward<Cpu<T>>({}, g[0].data(), dout.data(), probs.data(), lse.data(),
                                                 topk_ids.data(), weights.data(), slope.data(),
                                                 double(dout[weights.size()]), double(dout[weights.size() + 1]), n);
                         return g;
                     });
        }
}

TEST(Router, TheLowerIndexWinsATieAndBiasesChooseOnly) {
    const std::vector<double> logits{1, 2, 2, 2, 0, 0, 0, 0};
    std::vector<double> probs(8), lse(2), weights(4);
    std::vector<int32_t> topk_ids(4);
    std::vector<int64_t> tokens_per_expert(4);
    const auto route = [&](const double* bias) {
        router_forward<Cpu<double>>({}, probs.data(), lse.data(), topk_ids.data(), weights.data(),
                                    tokens_per_expert.data(), logits.data(), bias, {2, 4, 2, false});
    };
    route(nullptr);
    EXPECT_EQ(topk_ids, (std::vector<int32_t>{1, 2, 0, 1}));
    EXPECT_EQ(tokens_per_expert, (std::vector<int64_t>{1, 2, 1, 0}));
    EXPECT_EQ(weights[2], 0.25);
    const std::vector<double> bias{0, 0, 0, 5};
    route(bias.data());
    EXPECT_EQ(topk_ids, (std::vector<int32_t>{3, 1, 3, 0}));
    EXPECT_EQ(weights[0], weights[1]) << "the bias got into the weight";
}

TEST(Router, EntropyOfEvenProbabilitiesIsTheLogarithm) {
    const std::vector<double> logits(8, 3), probs(8, 0.25), lse(2, 3 + std::log(4)), share(4, 1);
    RouterSums sums;
    router_sums<Cpu<double>>({}, &sums, logits.data(), probs.data(), lse.data(), share.data(), 0.5, {2, 4, 1, true});
    EXPECT_NEAR(sums.entropy, std::log(4), 1e-14);
    EXPECT_NEAR(sums.balance, 1, 1e-14);
    EXPECT_NEAR(sums.z, lse[0] * lse[0], 1e-14);
}

TEST(Router, LoadsAndBiasesFollowTheCounts) {
    std::vector<int64_t> total{1, 2, 3, 4};
    const std::vector<int64_t> counts{7, 5, 5, 3};
    add_counts<Cpu<double>>({}, total.data(), counts.data(), 4);
    EXPECT_EQ(total, (std::vector<int64_t>{8, 7, 8, 7}));
    std::vector<double> load(4), bias{1, 1, 1, 1};
    expert_load<Cpu<double>>({}, load.data(), counts.data(), 4);
    EXPECT_EQ(load, (std::vector<double>{1.4, 1, 1, 0.6}));
    move_router_bias<Cpu<double>>({}, bias.data(), counts.data(), 4, 0.25);
    EXPECT_EQ(bias, (std::vector<double>{0.75, 1, 1, 1.25}));
}

// The example of ops.h, and the same with ranks that send nothing.
TEST(Experts, RowsOfEveryRankArriveAndAreUsedByExpert) {
    const auto arrivals = [](const std::vector<int64_t>& counts, int64_t ranks, int64_t experts) {
        std::vector<int64_t> offsets(size_t(experts + 1), -1);
        expert_offsets<Cpu<double>>({}, offsets.data(), counts.data(), ranks, experts);
        std::vector<int32_t> index(size_t(offsets.back()), -1);
        expert_arrivals<Cpu<double>>({}, index.data(), counts.data(), ranks, experts);
        return std::pair(offsets, index);
    };
    using Expected = std::pair<std::vector<int64_t>, std::vector<int32_t>>;
    EXPECT_EQ(arrivals({2, 1, 1, 2}, 2, 2), Expected({0, 3, 6}, {0, 1, 3, 2, 4, 5}));
    EXPECT_EQ(arrivals({0, 0, 1, 2, 0, 1}, 3, 2), Expected({0, 1, 4}, {0, 1, 2, 3}));
    EXPECT_EQ(arrivals({0, 0}, 1, 2), Expected({0, 0, 0}, {}));
}

TEST(Loss, SumsAddToTheTotal) {
    double total = 1;
    const std::vector<float> losses{0.5f, 0.25f, 4};
    sum_of_losses<Cpu<float>>({}, &total, losses.data(), 3);
    EXPECT_EQ(total, 5.75);
}

TEST(Experts, PicksAreSortedStablyAndReturn) {
    const std::vector<int32_t> topk_ids{2, 0, 2, 1, 0, 2};
    const std::vector<int64_t> tokens_per_expert{2, 1, 3, 0};
    std::vector<int32_t> permutation(6);
    sort_by_expert<Cpu<double>>({}, permutation.data(), topk_ids.data(), tokens_per_expert.data(), 6, 4);
    EXPECT_EQ(permutation, (std::vector<int32_t>{3, 0, 4, 2, 1, 5}));
    const std::vector<double> x{10, 20, 30};  // three rows, two experts each
    std::vector<double> sorted(6), back(6), sum(3, 1);
    scatter_rows<Cpu<double>>({}, sorted.data(), x.data(), permutation.data(), 3, 2, 1);
    EXPECT_EQ(sorted, (std::vector<double>{10, 30, 20, 10, 20, 30}));
    gather_rows<Cpu<double>>({}, back.data(), sorted.data(), permutation.data(), 6, 1);
    EXPECT_EQ(back, (std::vector<double>{10, 10, 20, 20, 30, 30}));
    sum_rows_at<Cpu<double>>({}, sum.data(), sorted.data(), permutation.data(), 3, 2, 1, Into::add);
    EXPECT_EQ(sum, (std::vector<double>{21, 41, 61}));
}

TEST(Experts, GroupedLinearGradients) {
    for (const auto& offsets :
         std::vector<std::vector<int64_t>>{{0, 2, 2, 5}, {0, 0, 0, 7}, {0, 3, 40, 40}, {0, 0, 0, 0}}) {
        const int64_t rows = offsets[3], in = 6, out = 5;
        const GroupedShape n{offsets.data(), rows, 3, in, out};
        if (rows > 0)
            hold("grouped linear", {noise(size_t(rows * in), 1), noise(size_t(3 * in * out), 2)}, size_t(rows * out),
                 [&]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                     grouped_linear_forward<Cpu<T>>({}, y.data(), x[0].data(), x[1].data(), n);
                     Tensors<T> g{std::vector<T>(x[0].size()), std::vector<T>(x[1].size())};
                     grouped_linear_backward_input<Cpu<T>>({}, g[0].data(), dout.data(), x[1].data(), n,
                                                           Into::overwrite);
                     grouped_linear_backward_weight<Cpu<T>>({}, g[1].data(), dout.data(), x[0].data(), n);
                     return g;
                 });
        else
            grouped_linear_forward<Cpu<float>>({}, nullptr, nullptr, nullptr, n);
    }
}

TEST(Experts, WeightedSwiGluGradients) {
    for (const auto [rows, width] : {std::array{1, 1}, {5, 9}, {3, 130}})
        hold("weighted swiglu",
             {noise(size_t(rows * width), 1), noise(size_t(rows * width), 2), noise(size_t(rows), 3)},
             size_t(rows * width),
             [&, rows = rows, width = width]<class T>(const Tensors<T>& x, const std::vector<T>& dout,
                                                      std::vector<T>& y) {
                 weighted_swiglu_forward<Cpu<T>>({}, y.data(), x[0].data(), x[1].data(), x[2].data(), rows, width);
                 Tensors<T> g{x[0], x[1], std::vector<T>(x[2].size())};  // in place
                 weighted_swiglu_backward<Cpu<T>>({}, g[0].data(), g[1].data(), g[2].data(), dout.data(), g[0].data(),
                                                  g[1].data(), x[2].data(), rows, width);
                 return g;
             });
}

}  // namespace
}  // namespace sluice
