// Ops over lists of spans: what they do to one span after another, and nothing between them.
#include "kernels/ops.h"
#include "support/hold.h"

namespace sluice {
namespace {

// Weights, gradients and state lie differently, with gaps; the first is worth several threads, one is empty.
constexpr AdamWSpan kSpans[] = {
    {5, 100, 7, 40000, true}, {40010, 3, 50000, 90, false}, {45000, 41000, 60000, 0, true}, {50001, 45000, 3, 1, true}};
constexpr AdamW kUpdate{0.1, 0.9, 0.95, 1e-8, 0.2, 0.5, 0.3, 0.4};

template <class T>
struct AdamWArrays {
    std::vector<T> w = cast<T>(noise(51000, 1)), m = cast<T>(noise(61000, 2)), v = cast<T>(noise(61000, 3)),
                   g = cast<T>(noise(46000, 4));
    AdamWArrays() {
        for (T& x : v) x *= x;
    }
    void update(const AdamWSpan* spans, int64_t count) {
        adamw<Cpu<T>>({}, w.data(), nullptr, m.data(), v.data(), g.data(), spans, count, kUpdate);
    }
    bool operator==(const AdamWArrays&) const = default;
};

template <class T>
void update_a_list() {
    AdamWArrays<T> list, singles, threads;
    AdamWArrays<double> expected;
    list.update(kSpans, std::size(kSpans));
    for (const AdamWSpan& span : kSpans) singles.update(&span, 1);
    EXPECT_TRUE(list == singles);
    omp_set_num_threads(3);
    threads.update(kSpans, std::size(kSpans));
    omp_set_num_threads(1);
    EXPECT_TRUE(list == threads) << "threads change bits";
    for (const AdamWSpan& span : kSpans)
        for (int64_t i = 0; i < span.count; i++) {
            double &w = expected.w[size_t(span.weights + i)], &m = expected.m[size_t(span.state + i)],
                   &v = expected.v[size_t(span.state + i)];
            const double g = 0.5 * expected.g[size_t(span.gradients + i)];
            m = 0.9 * m + 0.1 * g;
            v = 0.95 * v + 0.05 * g * g;
            w -= 0.1 * (m / 0.3 / (std::sqrt(v / 0.4) + 1e-8) + (span.decays ? 0.2 * w : 0));
        }
    // What lies between the spans is as it was in `expected`, too.
    EXPECT_LT(relative_error(list.w, expected.w), tolerance<T>());
    EXPECT_LT(relative_error(list.m, expected.m), tolerance<T>());
    EXPECT_LT(relative_error(list.v, expected.v), tolerance<T>());
}

TEST(Spans, AdamW) {
    update_a_list<float>();
    update_a_list<double>();
}

TEST(Spans, SumOfSquares) {
    const auto check = []<class T>(T) {
        const Span spans[] = {{3, 150'000}, {150'005, 0}, {150'010, 1}, {150'100, 70'000}};
        const auto x = cast<T>(noise(220'200, 1));
        double list = 2, singles = 2, expected = 2;
        sum_of_squares<Cpu<T>>({}, &list, x.data(), spans, std::size(spans));
        for (const Span& span : spans) {
            sum_of_squares<Cpu<T>>({}, &singles, x.data(), &span, 1);
            for (int64_t i = 0; i < span.count; i++) {
                const double value = x[size_t(span.offset + i)];
                expected += value * value;
            }
        }
        EXPECT_EQ(list, singles);
        EXPECT_NEAR(list, expected, 1e-9 * expected);
    };
    check(float());
    check(double());
}

}  // namespace
}  // namespace sluice
