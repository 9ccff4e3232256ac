// Probes against plain formulas.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/attention_cases.h"
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
        AttentionSums sums{3, 4, 5};
        attention_sums<B>({}, &sums, lse.data(), mean_k.data(), queries_of(c, q), keys_of(c, k), mask, n);

        double first = 3, entropy = 4;
        for (int64_t s = 0; s < c.sequences; s++)
            for (int64_t h = 0; h < c.heads; h++)
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
                }
        EXPECT_NEAR(sums.first, first, kNear * double(queries));
        EXPECT_NEAR(sums.entropy, entropy, kNear * double(queries));
        EXPECT_EQ(sums.count, 5 + double(queries));
    }
}

TEST(Probes, OfGatesCountEachScoreOnce) {
    const int64_t rows = 7, heads = 3, channels = 5, stride = 40;
    const auto s = noise(size_t(rows * stride), 4);
    const GateShape shapes[] = {{rows, heads, channels, {stride, channels, 1}},
                                {rows, heads, channels, {stride, 1, 0}},
                                {rows, heads, channels, {stride, 0, 1}},
                                {rows, heads, channels, {0, channels, 1}}};
    for (const GateShape& n : shapes) {
        GateSums sums{1, 2, 3};
        gate_sums<B>({}, &sums, s.data(), n, {Activation::sigmoid, 0.3});
        double sum = 1, small = 2, count = 3;
        for (int64_t r = 0; r < n.score_rows(); r++)
            for (int64_t i = 0; i < n.score_heads() * n.score_channels(); i++) {
                const double g = 0.3 / (1 + std::exp(-s[size_t(r * n.stride.row + i)]));
                sum += g;
                small += g < 0.1;
                count++;
            }
        EXPECT_NEAR(sums.sum, sum, kNear * count);
        EXPECT_EQ(sums.small, small);
        EXPECT_EQ(sums.count, count);
    }
}

TEST(Probes, TheLargestOfManyIsNeverLost) {
    std::vector<double> x = noise(100000, 5);
    x[77777] = -9;
    x[12345] = 8;
    double largest = 0;
    raise_to_largest<B>({}, &largest, x.data(), int64_t(x.size()), Of::values);
    EXPECT_EQ(largest, 8);
    raise_to_largest<B>({}, &largest, x.data(), int64_t(x.size()), Of::magnitudes);
    EXPECT_EQ(largest, 9);
    raise_to_largest<B>({}, &largest, x.data(), 1000, Of::values);
    raise_to_largest<B>({}, &largest, x.data(), 0, Of::values);
    EXPECT_EQ(largest, 9);
    x[4] = std::nan("");
    raise_to_largest<B>({}, &largest, x.data(), int64_t(x.size()), Of::values);
    EXPECT_TRUE(std::isnan(largest));
    raise_to_largest<B>({}, &largest, x.data() + 5, 100, Of::values);
    EXPECT_TRUE(std::isnan(largest));
}

}  // namespace
}  // namespace sluice
