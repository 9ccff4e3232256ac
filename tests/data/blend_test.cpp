// The blend far into a run: the same choices as walking there gives, without the walk.
#include "data/blend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace sluice {
namespace {

// The rule as it was first written, which checkpoints hang on: one step after the other, from the run's start.
class Walk {
 public:
    explicit Walk(const std::vector<double>& weights) : counts_(weights.size()) {
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (const double weight : weights) shares_.push_back(int64_t(weight / sum * double(kOne)));
        *std::max_element(shares_.begin(), shares_.end()) +=
            kOne - std::accumulate(shares_.begin(), shares_.end(), int64_t{0});
    }
    Blend::Pick next() {
        const auto k = int64_t(shares_.size());
        const int64_t due = k > 1 ? kOne / (2 * k - 2) : 0;
        size_t best = 0;
        __int128 best_slack = 0;
        bool found = false;
        for (size_t i = 0; i < shares_.size(); i++) {
            const __int128 behind = __int128(shares_[i]) * (n_ + 1) - __int128(counts_[i]) * kOne;
            if (behind < due || shares_[i] == 0) continue;
            const __int128 slack = kOne - due - behind;
            if (found && slack * shares_[best] >= best_slack * shares_[i]) continue;
            best = i;
            best_slack = slack;
            found = true;
        }
        n_++;
        return {best, counts_[best]++};
    }

 private:
    static constexpr int64_t kOne = int64_t{1} << 60;
    std::vector<int64_t> shares_, counts_;
    int64_t n_ = 0;
};

std::vector<std::vector<double>> weightings() {
    std::vector<std::vector<double>> all{{1},       {1, 1},    {5, 3, 2},       {0.7, 0.3}, {0.34, 0.33, 0.3, 0.03},
                                         {1e-9, 1}, {1, 1e-4}, {1e-3, 0.5, .5}, {1, 1e-300}};
    all.push_back(std::vector<double>(50, 0.02));
    for (uint64_t i = 0; i < 24; i++) {
        std::vector<double> random(2 + i % 11);
        for (size_t k = 0; k < random.size(); k++) {
            const auto r = double(mix(i, k) % 1000 + 1);
            random[k] = i % 3 == 0 ? std::floor(r / 250) + 1 : i % 3 == 1 ? std::exp(r / 150) : r;
        }
        all.push_back(random);
    }
    return all;
}

TEST(Blend, AJumpGivesWhatWalkingGives) {
    constexpr int64_t kSamples = 30000;
    int64_t places = 0;
    for (const auto& weights : weightings()) {
        Walk walk(weights);
        for (int64_t n = 0; n < kSamples; n++) {
            const Blend::Pick expected = walk.next();
            if (n > 100 && mix(7, uint64_t(n)) % 200 != 0) continue;
            Blend blend(weights);
            const Blend::Pick pick = blend.at(n);
            ASSERT_EQ(pick.source, expected.source) << weights.size() << " sources, sample " << n;
            ASSERT_EQ(pick.index, expected.index) << weights.size() << " sources, sample " << n;
            places++;
        }
    }
    EXPECT_GT(places, 5000);
}

TEST(Blend, AJumpToAMillionGivesWhatWalkingGives) {
    for (const std::vector<double>& weights :
         {std::vector<double>{0.6, 0.25, 0.1, 0.05}, {1, 1, 1}, {3.14159, 2.71828, 1.41421, 0.001}}) {
        Walk walk(weights);
        for (int64_t n = 0; n < 999'000; n++) walk.next();
        for (int64_t n = 999'000; n < 1'000'000; n++) {
            const Blend::Pick expected = walk.next(), pick = Blend(weights).at(n);
            ASSERT_TRUE(pick.source == expected.source && pick.index == expected.index) << n;
        }
    }
}

// No walk could come there within a test's time; what is asked for in turn must follow from what is jumped to.
TEST(Blend, FarIntoARunIsNear) {
    for (const int64_t far : {int64_t{1'000'000'000}, int64_t{1'000'000'000'000}})
        for (const auto& weights : weightings()) {
            const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
            const double smallest = *std::min_element(weights.begin(), weights.end()) / sum;
            if (smallest < 1e-5 && weights.size() > 2) continue;  // two sources are near however small
            Blend steady(weights);
            for (int64_t n = far; n < far + 500; n++) {
                Blend jumped(weights);
                const Blend::Pick a = jumped.at(n), b = steady.at(n);
                ASSERT_TRUE(a.source == b.source && a.index == b.index) << weights.size() << " sources, " << n;
                ASSERT_LT(std::abs(double(a.index + 1) - double(n + 1) * weights[a.source] / sum), 1.01) << n;
                ASSERT_LE(double(jumped.steps()), weights.size() > 2 ? 2 / smallest + 10 : 4);
            }
            EXPECT_LT(steady.steps(), 200'000 + 500);
        }
}

TEST(Blend, GoesBackAndForth) {
    const std::vector<double> weights{5, 3, 2, 0.7};
    Walk walk(weights);
    std::vector<Blend::Pick> expected;
    for (int64_t n = 0; n < 20000; n++) expected.push_back(walk.next());
    Blend blend(weights);
    for (uint64_t i = 0; i < 2000; i++) {
        const auto n = size_t(mix(3, i) % expected.size());
        for (const size_t at : {n, n, n > 0 ? n - 1 : 0}) {
            const Blend::Pick pick = blend.at(int64_t(at));
            ASSERT_TRUE(pick.source == expected[at].source && pick.index == expected[at].index) << at;
        }
    }
}

}  // namespace
}  // namespace sluice
