// Probes against plain formulas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_cases.h"
#include "kernels/probe_math.h"
#include "support/hold.h"

namespace sluice {
namespace {

using B = Cpu<double>;
constexpr double kScale = 0.6, kNear = 1e-12;

TEST(Probes, OfAttentionEqualThePlainFormula) {
    for (const AttentionCase& c : kAttentionCases) {
        SCOPED_TRACE(text(c));
        const AttentionShape n = shape(c, kScale);
        const size_t queries = size_t(c.sequences * c.heads * c.length);
        const auto q = noise(queries * size_t(c.dim), 1),
                   k = noise(size_t(c.sequences * c.length * c.kv_heads * c.dim), 2);
        const auto doc_start = starts(c);
        const int32_t* mask = doc_start.empty() ? nullptr : doc_start.data();
        std::vector<double> out(q.size()), mean_k(q.size()), lse(queries), largest(queries), expected(q.size());
        attention_forward<B>({}, out.data(), lse.data(), queries_of(c, q), keys_of(c, k), keys_of(c, k), mask, n);
        attention_mean_keys<B>({}, mean_k.data(), largest.data(), queries_of(c, q), keys_of(c, k), mask, n);
        EXPECT_EQ(mean_k, out);
        std::vector<AttentionSums> sums(size_t(c.heads), AttentionSums{5, 3, 4, -1});
        attention_sums<B>({}, sums.data(), lse.data(), mean_k.data(), largest.data(), queries_of(c, q), keys_of(c, k),
                          mask, n);
        const int64_t tokens = std::min<int64_t>(c.length, 11);
        std::vector<double> map(size_t(tokens * tokens), 7), weights(map.size());
        attention_map<B>({}, map.data(), lse.data(), queries_of(c, q), keys_of(c, k), mask, tokens, n);

        for (int64_t h = 0; h < c.heads; h++) {
            double first = 3, entropy = 4, most_of_head = -1;
            for (int64_t s = 0; s < c.sequences; s++)
                for (int64_t t = 0; t < c.length; t++) {
                    const int64_t document = mask ? mask[s * c.length + t] : 0;
                    const int64_t from = c.window ? std::max(document, t - c.window + 1) : document;
                    std::vector<double> p;
                    double most = -std::numeric_limits<double>::infinity(), total = 0;
                    for (int64_t u = from; u <= t; u++) {
                        const double* key =
                            &k[size_t(((s * c.length + u) * c.kv_heads + h / (c.heads / c.kv_heads)) * c.dim)];
                        const double* query = &q[size_t(((s * c.length + t) * c.heads + h) * c.dim)];
                        double score = 0;
                        for (int64_t d = 0; d < c.dim; d++) score += kScale * query[d] * key[d];
                        most = std::max(most, score);
                        p.push_back(std::exp(score));
                        total += p.back();
                    }
                    EXPECT_NEAR(largest[size_t((s * c.heads + h) * c.length + t)], most, kNear);
                    if (from == document) first += p[0] / total;
                    for (const double e : p) entropy -= e / total * std::log(e / total);
                    most_of_head = std::max(most_of_head, most);
                    for (int64_t u = from; s == 0 && u <= t && t < tokens; u++)
                        weights[size_t(t * tokens + u)] += p[size_t(u - from)] / total;
                }
            const AttentionSums& of_head = sums[size_t(h)];
            EXPECT_NEAR(of_head.first, first, kNear * double(queries));
            EXPECT_NEAR(of_head.entropy, entropy, kNear * double(queries));
            EXPECT_NEAR(of_head.largest, most_of_head, kNear);
            EXPECT_EQ(of_head.count, 5 + double(c.sequences * c.length));
        }
        for (size_t i = 0; i < map.size(); i++) EXPECT_NEAR(map[i], weights[i], kNear) << i;
    }
}

TEST(Probes, OfGatesCountEachScoreOnce) {
    const int64_t rows = 7, heads = 3, channels = 5, stride = 40;
    const auto s = noise(size_t(rows * stride), 4);
    const GateShape shapes[] = {{rows, heads, channels, {stride, channels, 1}},
                                {rows, heads, channels, {stride, 1, 0}},
                                {rows, heads, channels, {stride, 0, 1}},
                                {rows, heads, channels, {0, channels, 1}}};
    for (const GateShape& n : shapes)
        for (const Factor factor : {Factor{Activation::sigmoid, 0.3}, {Activation::identity, 1.5}}) {
            std::vector<GateSums> sums(size_t(n.score_heads()), GateSums{3, 1, {2, 4, 5}, {6}}), expected = sums;
            gate_sums<B>({}, sums.data(), s.data(), n, factor);
            for (int64_t r = 0; r < n.score_rows(); r++)
                for (int64_t i = 0; i < n.score_heads() * n.score_channels(); i++) {
                    const double score = s[size_t(r * n.stride.row + i)];
                    const double g =
                        factor.activation == Activation::identity ? 1.5 * score : 0.3 / (1 + std::exp(-score));
                    GateSums& to = expected[size_t(i / n.score_channels())];
                    to.count++;
                    to.sum += g;
                    for (int u = 0; u < 3; u++) to.under[u] += g < kGateThresholds[u];
                    to.bins[std::clamp(int(std::floor((g + 2) / 0.05)), 0, 79)]++;
                }
            for (size_t h = 0; h < sums.size(); h++) {
                EXPECT_NEAR(sums[h].sum, expected[h].sum, kNear * expected[h].count);
                EXPECT_EQ(sums[h].count, expected[h].count);
                for (int u = 0; u < 3; u++) EXPECT_EQ(sums[h].under[u], expected[h].under[u]);
                for (int b = 0; b < kGateBins; b++) EXPECT_EQ(sums[h].bins[b], expected[h].bins[b]) << b;
            }
        }
}

// A bin has its lower edge and not its upper one; the outer bins have all that lies outside.
TEST(Probes, BinsOfFactors) {
    const std::pair<double, int> bins[] = {{0, 40},    {0.5, 50},   {0.4999999, 49}, {-1e-9, 39},      {-0.05, 39},
                                           {1, 60},    {1.975, 79}, {2, 79},         {1e30, 79},       {-2, 0},
                                           {-1.96, 0}, {-1e30, 0},  {-1.94, 1},      {std::nan(""), 0}};
    for (const auto& [factor, bin] : bins) {
        EXPECT_EQ(gate_bin(factor), bin) << factor;
        EXPECT_EQ(gate_bin(float(factor)), bin) << factor;
    }
}

TEST(Probes, OfMagnitudesLoseNothing) {
    std::vector<double> x = noise(100000, 5);
    x[77777] = -9;
    x[12345] = 8;
    MagnitudeSums sums{1, 2, {3, 4}, 0.5}, expected = sums;
    for (const double v : x) {
        const double m = std::abs(v) / 4;
        expected.sum += m;
        for (int u = 0; u < 2; u++) expected.under[u] += m < kSmallMagnitudes[u];
    }
    magnitude_sums<B>({}, &sums, x.data(), 1000, 1, 100, -0.25);
    EXPECT_EQ(sums.count, 100001);
    EXPECT_NEAR(sums.sum, expected.sum, kNear * 1e5);
    for (int u = 0; u < 2; u++) EXPECT_EQ(sums.under[u], expected.under[u]);
    EXPECT_EQ(sums.largest, 9.0 / 4);
    magnitude_sums<B>({}, &sums, x.data(), 10, 1, 100, 1);
    EXPECT_EQ(sums.largest, 9.0 / 4);
    x[4] = std::nan("");
    magnitude_sums<B>({}, &sums, x.data(), 1, 1, 100000, 1);
    EXPECT_TRUE(std::isnan(sums.largest));
    magnitude_sums<B>({}, &sums, x.data() + 5, 1, 1, 100, 1);
    EXPECT_TRUE(std::isnan(sums.largest));
}

TEST(Probes, OfMagnitudesAreByHead) {
    constexpr int64_t kRows = 7000, kHeads = 3, kChannels = 5;  // several chunks, the last of which is not full
    const std::vector<double> x = noise(kRows * kHeads * kChannels, 6);
    std::vector<MagnitudeSums> sums(kHeads), expected(kHeads);
    for (size_t i = 0; i < x.size(); i++) {
        const double m = std::abs(2 * x[i]);
        add(expected[i / kChannels % kHeads], {1, m, {double(m < 0.01), double(m < 0.001)}, m});
    }
    magnitude_sums<B>({}, sums.data(), x.data(), kRows, kHeads, kChannels, 2);
    for (int64_t h = 0; h < kHeads; h++) {
        EXPECT_EQ(sums[h].count, kRows * kChannels);
        EXPECT_NEAR(sums[h].sum, expected[h].sum, kNear * expected[h].sum);
        for (int u = 0; u < 2; u++) EXPECT_EQ(sums[h].under[u], expected[h].under[u]);
        EXPECT_EQ(sums[h].largest, expected[h].largest);
    }
}

}  // namespace
}  // namespace sluice
