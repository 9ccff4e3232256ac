// ReLU attention against the plain formula and central differences, over blocks, windows, documents and shared heads.
#include <algorithm>
#include <limits>

#include "kernels/attention_cases.h"
#include "support/hold.h"

namespace sluice {
namespace {

constexpr double kHalf = 0.5;  // the scale

const int32_t* data_or_null(const std::vector<int32_t>& doc_start) {
    return doc_start.empty() ? nullptr : doc_start.data();
}
size_t queries(const AttentionCase& c) { return size_t(c.sequences * c.length * c.heads * c.dim); }
size_t keys(const AttentionCase& c) { return size_t(c.sequences * c.length * c.kv_heads * c.dim); }

// Queries or keys, one row of dim after another, whose products stay off the kink at 0: multiples of 1/4, in each row
// the first odd and the others even, so that every product is an odd multiple of 1/16, and exact in float.
std::vector<double> off_the_kink(size_t count, int64_t dim, int seed) {
    auto x = noise(count, seed);
    for (size_t i = 0; i < count; i++)
        x[i] = i % size_t(dim) == 0 ? (2 * std::round(2 * x[i]) + 1) / 4 : std::round(2 * x[i]) / 2;
    return x;
}

struct Results {
    std::vector<double> out, dq, dk, dv;
};

// Token by token, as the formula says.
Results plain(const AttentionCase& c, const Tensors<double>& x, const std::vector<double>& dout,
              const std::vector<int32_t>& doc_start) {
    const auto &q = x[0], &k = x[1], &v = x[2];
    const auto zeros = [](size_t count) { return std::vector<double>(count); };
    Results r{zeros(q.size()), zeros(q.size()), zeros(k.size()), zeros(k.size())};
    const size_t D = size_t(c.dim);
    for (int64_t s = 0; s < c.sequences; s++)
        for (int64_t h = 0; h < c.heads; h++)
            for (int64_t t = 0; t < c.length; t++) {
                int64_t from = doc_start.empty() ? 0 : doc_start[size_t(s * c.length + t)];
                if (c.window) from = std::max(from, t - c.window + 1);
                const size_t at = size_t(((s * c.length + t) * c.heads + h) * c.dim);
                for (int64_t u = from; u <= t; u++) {
                    const size_t key = size_t(((s * c.length + u) * c.kv_heads + h / (c.heads / c.kv_heads)) * c.dim);
                    double score = 0, dweight = 0;
                    for (size_t d = 0; d < D; d++) score += kHalf * q[at + d] * k[key + d];
                    if (score <= 0) continue;
                    for (size_t d = 0; d < D; d++) dweight += dout[at + d] * v[key + d];
                    for (size_t d = 0; d < D; d++) {
                        r.out[at + d] += score * v[key + d];
                        r.dv[key + d] += score * dout[at + d];
                        r.dq[at + d] += kHalf * dweight * k[key + d];
                        r.dk[key + d] += kHalf * dweight * q[at + d];
                    }
                }
            }
    return r;
}

// The ops' gradients of x = q, k, v; into `out`, their output. What gradients overwrite is not 0.
template <class T>
Tensors<T> run(const AttentionCase& c, const Tensors<T>& x, const std::vector<T>& dout,
               const std::vector<int32_t>& doc_start, std::vector<T>& out, bool backward = true) {
    Tensors<T> g{std::vector<T>(x[0].size(), T(9)), std::vector<T>(x[1].size(), T(9)),
                 std::vector<T>(x[2].size(), T(9))};
    relu_attention_forward<Cpu<T>>({}, out.data(), queries_of(c, x[0]), keys_of(c, x[1]), keys_of(c, x[2]),
                                   data_or_null(doc_start), shape(c, kHalf));
    if (!backward) return g;
    relu_attention_backward<Cpu<T>>({}, queries_of(c, g[0]), keys_of(c, g[1]), keys_of(c, g[2]), dout.data(),
                                    queries_of(c, x[0]), keys_of(c, x[1]), keys_of(c, x[2]), data_or_null(doc_start),
                                    shape(c, kHalf));
    return g;
}

TEST(ReluAttention, EqualsThePlainFormula) {
    for (const AttentionCase& c : kAttentionCases) {
        SCOPED_TRACE(text(c));
        const Tensors<double> x{noise(queries(c), 1), noise(keys(c), 2), noise(keys(c), 3)};
        const auto dout = noise(queries(c), 4);
        const auto doc_start = starts(c);
        const auto expected = plain(c, x, dout, doc_start);
        std::vector<double> out(queries(c), 9.0);
        const auto g = run<double>(c, x, dout, doc_start, out);
        EXPECT_LT(relative_error(out, expected.out), 1e-13);
        EXPECT_LT(relative_error(g[0], expected.dq), 1e-13);
        EXPECT_LT(relative_error(g[1], expected.dk), 1e-13);
        EXPECT_LT(relative_error(g[2], expected.dv), 1e-13);
    }
}

TEST(ReluAttention, Gradients) {
    for (const AttentionCase& c : kAttentionCases) {
        const auto doc_start = starts(c);
        hold(text(c), {off_the_kink(queries(c), c.dim, 1), off_the_kink(keys(c), c.dim, 2), noise(keys(c), 3)},
             queries(c),
             [&]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& out, bool backward = true) {
                 return run<T>(c, x, dout, doc_start, out, backward);
             });
    }
}

TEST(ReluAttention, ManyHeadsAndLongSequences) {
    for (const AttentionCase& c : kLargeAttentionCases) {
        SCOPED_TRACE(text(c));
        const Tensors<double> x{off_the_kink(queries(c), c.dim, 1), off_the_kink(keys(c), c.dim, 2), noise(keys(c), 3)};
        const auto dout = noise(queries(c), 4);
        const auto doc_start = starts(c);
        const auto expected = plain(c, x, dout, doc_start);
        const auto check = [&]<class T>(T, int threads) {
            std::vector<T> out(queries(c));
            omp_set_num_threads(threads);
            auto all = run<T>(c, cast_all<T>(x), cast<T>(dout), doc_start, out);
            omp_set_num_threads(1);
            EXPECT_LT(relative_error(out, expected.out), tolerance<T>());
            EXPECT_LT(relative_error(all[0], expected.dq), tolerance<T>());
            EXPECT_LT(relative_error(all[1], expected.dk), tolerance<T>());
            EXPECT_LT(relative_error(all[2], expected.dv), tolerance<T>());
            all.push_back(out);
            return all;
        };
        check(double(), 1);
        EXPECT_EQ(check(float(), 1), check(float(), 3)) << "threads change bits";
    }
}

// A query whose scores are all below or at 0 gets 0, and passes no gradient on.
TEST(ReluAttention, IsZeroWithoutAPositiveScore) {
    const AttentionCase c{1, 70, 1, 1, 2, 0};
    const auto check = [&]<class T>(T) {
        Tensors<T> x{std::vector<T>(queries(c), T(1)), std::vector<T>(keys(c), T(-1)), cast<T>(noise(keys(c), 1))};
        x[1][2 * 5] = 1;       // key 5: the product is 0
        x[1][2 * 40 + 1] = 3;  // key 40: the product is 2, the score 1
        std::vector<T> out(queries(c), T(9));
        const auto g = run<T>(c, x, std::vector<T>(queries(c), T(1)), {}, out);
        for (size_t i = 0; i < queries(c); i++) {
            const bool sees = i / 2 >= 40;
            EXPECT_EQ(out[i], sees ? x[2][2 * 40 + i % 2] : T(0)) << i;
            EXPECT_EQ(g[0][i] != 0, sees) << i;
            EXPECT_EQ(g[1][i] != 0, i / 2 == 40) << i;
            EXPECT_EQ(g[2][i], i / 2 == 40 ? T(30) : T(0)) << i;
        }
    };
    check(float());
    check(double());
}

TEST(ReluAttention, ShowsNaN) {
    const AttentionCase c{1, 4, 1, 1, 2, 0};
    Tensors<float> x(3, std::vector<float>(8, 1.0f));
    x[1][2] = std::numeric_limits<float>::quiet_NaN();  // key 1
    std::vector<float> out(8);
    const auto g = run<float>(c, x, std::vector<float>(8, 1.0f), {}, out);
    EXPECT_EQ(out[0], 1.0f);  // token 0 does not see it
    for (const size_t i : {2, 4, 7}) EXPECT_TRUE(std::isnan(out[i])) << i;
    EXPECT_TRUE(std::isnan(g[0][2]));
    EXPECT_TRUE(std::isnan(g[2][2]));
}

}  // namespace
}  // namespace sluice
