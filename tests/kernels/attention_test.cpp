// Blockwise attention against the plain formula and central differences.
#include <optional>

#include "kernels/attention_cases.h"
#include "support/hold.h"

namespace sluice {
namespace {

constexpr double kScale = 0.6;

TEST(Attention, EqualsThePlainFormula) {
    for (const AttentionCase& c : kAttentionCases) {
        SCOPED_TRACE(text(c));
        const auto q = noise(size_t(c.sequences * c.length * c.heads * c.dim), 1),
                   k = noise(size_t(c.sequences * c.length * c.kv_heads * c.dim), 2), v = noise(k.size(), 3);
        const auto doc_start = starts(c);
        std::vector<double> out(q.size()), lse(size_t(c.sequences * c.heads * c.length)), expected(q.size());
        attention_forward<Cpu<double>>({}, out.data(), lse.data(), queries_of(c, q), keys_of(c, k), keys_of(c, v),
                                       doc_start.empty() ? nullptr : doc_start.data(), shape(c, kScale));
        for (int64_t s = 0; s < c.sequences; s++)
            for (int64_t h = 0; h < c.heads; h++)
                for (int64_t t = 0; t < c.length; t++) {
                    int64_t from = doc_start.empty() ? 0 : doc_start[size_t(s * c.length + t)];
                    if (c.window) from = std::max(from, t - c.window + 1);
                    const int64_t kv = h / (c.heads / c.kv_heads), at = ((s * c.length + t) * c.heads + h) * c.dim;
                    double total = 0;
                    for (int64_t u = from; u <= t; u++) {
                        const int64_t key = ((s * c.length + u) * c.kv_heads + kv) * c.dim;
                        double score = 0;
                        for (int64_t d = 0; d < c.dim; d++) score += q[size_t(at + d)] * k[size_t(key + d)];
                        const double p = std::exp(0.6 * score);
                        total += p;
                        for (int64_t d = 0; d < c.dim; d++) expected[size_t(at + d)] += p * v[size_t(key + d)];
                    }
                    for (int64_t d = 0; d < c.dim; d++) expected[size_t(at + d)] /= total;
                    EXPECT_NEAR(lse[size_t((s * c.heads + h) * c.length + t)], std::log(total), 1e-12);
                }
        EXPECT_LT(relative_error(out, expected), 1e-13);
    }
}

TEST(Attention, Gradients) {
    for (const AttentionCase& c : kAttentionCases) {
        const size_t nq = size_t(c.sequences * c.length * c.heads * c.dim),
                     nk = size_t(c.sequences * c.length * c.kv_heads * c.dim);
        const auto doc_start = starts(c);
        hold(text(c), {noise(nq, 1), noise(nk, 2), noise(nk, 3)}, nq,
             [&]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y, bool backward = true) {
                 std::vector<T> lse(size_t(c.sequences * c.heads * c.length)), delta(lse.size());
                 Tensors<T> g{std::vector<T>(nq, T(9)), std::vector<T>(nk, T(9)), std::vector<T>(nk, T(9))};
                 const int32_t* mask = doc_start.empty() ? nullptr : doc_start.data();
                 attention_forward<Cpu<T>>({}, y.data(), lse.data(), queries_of(c, x[0]), keys_of(c, x[1]),
                                           keys_of(c, x[2]), mask, shape(c, kScale));
                 if (!backward) return g;
                 attention_backward<Cpu<T>>({}, queries_of(c, g[0]), keys_of(c, g[1]), keys_of(c, g[2]), delta.data(),
                                            nullptr, dout.data(), y.data(), lse.data(), queries_of(c, x[0]),
                                            keys_of(c, x[1]), keys_of(c, x[2]), mask, shape(c, kScale));
                 return g;
             });
    }
}

// dq, dk and dv as the formula says, token by token.
Tensors<double> plain_gradients(const AttentionCase& c, const std::vector<double>& q, const std::vector<double>& k,
                                const std::vector<double>& v, const std::vector<double>& dout,
                                const std::vector<int32_t>& doc_start) {
    Tensors<double> g{std::vector<double>(q.size()), std::vector<double>(k.size()), std::vector<double>(v.size())};
    std::vector<double> p, dp;
    for (int64_t s = 0; s < c.sequences; s++)
        for (int64_t h = 0; h < c.heads; h++)
            for (int64_t t = 0; t < c.length; t++) {
                int64_t from = doc_start.empty() ? 0 : doc_start[size_t(s * c.length + t)];
                if (c.window) from = std::max(from, t - c.window + 1);
                const size_t at = size_t(((s * c.length + t) * c.heads + h) * c.dim), D = size_t(c.dim);
                const auto key = [&](int64_t u) {
                    return size_t(((s * c.length + u) * c.kv_heads + h / (c.heads / c.kv_heads)) * c.dim);
                };
                double total = 0, mean = 0;
                p.assign(size_t(t - from + 1), 0);
                dp = p;
                for (int64_t u = from; u <= t; u++) {
                    double score = 0;
                    for (size_t d = 0; d < D; d++) score += q[at + d] * k[key(u) + d];
                    for (size_t d = 0; d < D; d++) dp[size_t(u - from)] += dout[at + d] * v[key(u) + d];
                    total += p[size_t(u - from)] = std::exp(0.6 * score);
                }
                for (size_t i = 0; i < p.size(); i++) mean += (p[i] /= total) * dp[i];
                for (int64_t u = from; u <= t; u++) {
                    const double weight = p[size_t(u - from)], slope = 0.6 * weight * (dp[size_t(u - from)] - mean);
                    for (size_t d = 0; d < D; d++) {
                        g[0][at + d] += slope * k[key(u) + d];
                        g[1][key(u) + d] += slope * q[at + d];
                        g[2][key(u) + d] += weight * dout[at + d];
                    }
                }
            }
    return g;
}

TEST(Attention, GradientsOfManyHeadsAndOfLongSequences) {
    for (const AttentionCase& c : kLargeAttentionCases) {
        SCOPED_TRACE(text(c));
        const size_t nq = size_t(c.sequences * c.length * c.heads * c.dim),
                     nk = size_t(c.sequences * c.length * c.kv_heads * c.dim);
        const auto q = noise(nq, 1), k = noise(nk, 2), v = noise(nk, 3), dout = noise(nq, 4);
        const auto doc_start = starts(c);
        const auto run = [&]<class T>(T, int threads) {
            const auto tq = cast<T>(q), tk = cast<T>(k), tv = cast<T>(v), tdout = cast<T>(dout);
            std::vector<T> out(nq), lse(size_t(c.sequences * c.heads * c.length)), delta(lse.size());
            Tensors<T> g{std::vector<T>(nq, T(9)), std::vector<T>(nk, T(9)), std::vector<T>(nk, T(9))};
            const int32_t* mask = doc_start.empty() ? nullptr : doc_start.data();
            omp_set_num_threads(threads);
            attention_forward<Cpu<T>>({}, out.data(), lse.data(), queries_of(c, tq), keys_of(c, tk), keys_of(c, tv),
                                      mask, shape(c, kScale));
            attention_backward<Cpu<T>>({}, queries_of(c, g[0]), keys_of(c, g[1]), keys_of(c, g[2]), delta.data(),
                                       nullptr, tdout.data(), out.data(), lse.data(), queries_of(c, tq), keys_of(c, tk),
                                       keys_of(c, tv), mask, shape(c, kScale));
            omp_set_num_threads(1);
            return g;
        };
        const auto expected = plain_gradients(c, q, k, v, dout, doc_start);
        const auto doubles = run(double(), 1);
        const auto one = run(float(), 1), three = run(float(), 3);
        for (size_t i = 0; i < 3; i++) {
            EXPECT_LT(relative_error(doubles[i], expected[i]), tolerance<double>());
            EXPECT_LT(relative_error(one[i], expected[i]), tolerance<float>());
            EXPECT_EQ(one[i], three[i]) << "threads change bits";
        }
    }
}

TEST(Attention, ShowsNaN) {
    std::vector<float> q(8, 1.0f), k(8, 1.0f), v(8, 1.0f), out(8), lse(4);
    k[2] = std::numeric_limits<float>::quiet_NaN();
    attention_forward<Cpu<float>>({}, out.data(), lse.data(), dense(q, 2), dense(k, 2), dense(v, 2), nullptr,
                                  {1, 4, 1, 1, 2, 0, 1.0});
    EXPECT_TRUE(std::isnan(out[2]));
    EXPECT_TRUE(std::isnan(out[7]));
}

}  // namespace
}  // namespace sluice
