// The blend's bound, and its order: a resume of an older run relies on it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "data/blend.h"

namespace sluice {
namespace {

std::vector<size_t> first_picks(const std::vector<double>& weights, int64_t count) {
    Blend blend(weights);
    std::vector<size_t> picks;
    for (int64_t n = 0; n < count; n++) picks.push_back(blend.at(n).source);
    return picks;
}

// The furthest that a source is from its share, in samples.
double furthest(const std::vector<double>& weights, int64_t count) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<double> counts(weights.size());
    double worst = 0;
    int64_t n = 0;
    for (const size_t source : first_picks(weights, count)) {
        counts[source]++;
        n++;
        for (size_t i = 0; i < weights.size(); i++)
            worst = std::max(worst, std::abs(counts[i] - double(n) * weights[i] / sum));
    }
    return worst;
}

TEST(Blend, StaysWithinTijdemansBound) {
    for (size_t i = 0; i < 500; i++) {
        std::vector<double> weights(2 + i % 7);
        for (size_t k = 0; k < weights.size(); k++) weights[k] = double(1 + mix(i, k) % 12);
        const double bound = 1 - 1 / double(2 * weights.size() - 2);
        ASSERT_LE(furthest(weights, 400), bound + 1e-9) << testing::PrintToString(weights);
    }
}

TEST(Blend, KeepsItsOrder) {
    EXPECT_EQ(first_picks({5, 3, 2}, 10), (std::vector<size_t>{0, 1, 0, 2, 0, 1, 0, 2, 1, 0}));
    EXPECT_EQ(first_picks({1, 1, 1}, 6), (std::vector<size_t>{0, 1, 2, 0, 1, 2}));
    EXPECT_EQ(first_picks({4, 3, 2, 1}, 10), (std::vector<size_t>{0, 1, 2, 0, 1, 0, 3, 2, 1, 0}));
}

}  // namespace
}  // namespace sluice
