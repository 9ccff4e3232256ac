// ReLA's norm and gate: against differences, cut over a tensor group, on rows of zeros, and the golden value of the
// whole.
#include "kernels/ops.h"
#include "kernels/rows.h"
#include "support/hold.h"

namespace sluice {
namespace {

struct Shape {
    int64_t rows, width;
    double eps = 1e-3;
};

// y of z, w, u (empty: no gate), with the channels in `parts` equal parts: their sums are added up as a group does.
template <class T>
struct RelaNorm {
    Shape n;
    int64_t parts;
    std::vector<T> rstd;

    const T* gate(const Tensors<T>& x, size_t at) const { return x.size() > 2 ? x[2].data() + at : nullptr; }
    int64_t width() const { return n.width / parts; }
    // The channels of a part, and back.
    std::vector<T> part(const std::vector<T>& whole, int64_t p) const {
        std::vector<T> some;
        for (int64_t r = 0; r < n.rows; r++)
            some.insert(some.end(), whole.begin() + r * n.width + p * width(),
                        whole.begin() + r * n.width + (p + 1) * width());
        return some;
    }
    void join(std::vector<T>& whole, const std::vector<T>& some, int64_t p) const {
        for (int64_t r = 0; r < n.rows; r++)
            std::copy_n(some.begin() + r * width(), width(), whole.begin() + r * n.width + p * width());
    }

    void forward(const Tensors<T>& x, std::vector<T>& y) {
        std::vector<T> squares(size_t(n.rows)), some(squares.size());
        for (int64_t p = 0; p < parts; p++) {
            sum_of_squares_by_row<Cpu<T>>({}, some.data(), part(x[0], p).data(), n.rows, width());
            for (size_t r = 0; r < some.size(); r++) squares[r] += some[r];
        }
        rstd.assign(size_t(n.rows), T(0));
        for (int64_t p = 0; p < parts; p++) {
            const size_t at = size_t(p * width());
            std::vector<T> out(size_t(n.rows * width()));
            rela_norm_forward<Cpu<T>>({}, out.data(), rstd.data(), part(x[0], p).data(), squares.data(),
                                      x[1].data() + at, gate(x, at), n.rows, width(), n.width, n.eps);
            join(y, out, p);
        }
    }

    Tensors<T> backward(const Tensors<T>& x, const std::vector<T>& dy) const {
        std::vector<T> dots(size_t(n.rows)), some(dots.size());
        for (int64_t p = 0; p < parts; p++) {
            const size_t at = size_t(p * width());
            rela_norm_dots<Cpu<T>>({}, some.data(), part(dy, p).data(), part(x[0], p).data(), x[1].data() + at,
                                   gate(x, at), n.rows, width());
            for (size_t r = 0; r < some.size(); r++) dots[r] += some[r];
        }
        Tensors<T> g;
        for (const auto& input : x) g.push_back(std::vector<T>(input.size()));
        for (int64_t p = 0; p < parts; p++) {
            const size_t at = size_t(p * width());
            auto dz = part(dy, p);  // in dy's own place
            rela_norm_backward<Cpu<T>>({}, dz.data(), g[1].data() + at, x.size() > 2 ? g[2].data() + at : nullptr,
                                       dz.data(), part(x[0], p).data(), x[1].data() + at, gate(x, at), rstd.data(),
                                       dots.data(), n.rows, width(), n.width);
            join(g[0], dz, p);
        }
        return g;
    }
};

const Shape kShapes[] = {{1, 1, 0.5}, {1, 9, 0.5}, {70, 6}, {3, 34}, {130, 3}};

Tensors<double> inputs(const Shape& n, bool gated) {
    Tensors<double> x{noise(size_t(n.rows * n.width), 1), noise(size_t(n.width), 2)};
    if (gated) x.push_back(noise(size_t(n.width), 3));
    return x;
}

TEST(RelaNorm, Gradients) {
    for (const Shape& n : kShapes)
        for (const bool gated : {false, true})
            hold(gated ? "with a gate" : "without a gate", inputs(n, gated), size_t(n.rows * n.width),
                 [&]<class T>(const Tensors<T>& x, const std::vector<T>& dy, std::vector<T>& y) {
                     RelaNorm<T> norm{n, 1, {}};
                     norm.forward(x, y);
                     return norm.backward(x, dy);
                 });
}

TEST(RelaNorm, EqualsTheFormula) {
    const Shape n{3, 10, 0.01};
    for (const bool gated : {false, true}) {
        const auto x = inputs(n, gated);
        std::vector<double> y(30), expected(30);
        RelaNorm<double>{n, 1, {}}.forward(x, y);
        for (size_t r = 0; r < 3; r++) {
            double squares = 0;
            for (size_t i = 0; i < 10; i++) squares += x[0][r * 10 + i] * x[0][r * 10 + i];
            for (size_t i = 0; i < 10; i++) {
                const double z = x[0][r * 10 + i], s = gated ? 1 / (1 + std::exp(-x[2][i] * z)) : 1;
                expected[r * 10 + i] = x[1][i] * z / std::sqrt(squares / 10 + 0.01) * s;
            }
        }
        EXPECT_LT(relative_error(y, expected), 1e-14);
    }
}

TEST(RelaNorm, IsTheSameInTwoHalves) {
    for (const Shape& n : {Shape{70, 6}, Shape{3, 34}, Shape{130, 4}})
        for (const bool gated : {false, true}) {
            const auto x = inputs(n, gated);
            const auto dy = noise(x[0].size(), 4);
            std::vector<double> y(dy.size()), y2(dy.size());
            RelaNorm<double> whole{n, 1, {}}, halves{n, 2, {}};
            whole.forward(x, y);
            halves.forward(x, y2);
            EXPECT_LT(relative_error(y2, y), 1e-14);
            EXPECT_LT(relative_error(halves.rstd, whole.rstd), 1e-14);
            const auto g = whole.backward(x, dy), g2 = halves.backward(x, dy);
            for (size_t i = 0; i < g.size(); i++) EXPECT_LT(relative_error(g2[i], g[i]), 1e-13) << i;
        }
}

// dw and du are added to what is there.
TEST(RelaNorm, AddsToGradientsOfWeights) {
    const std::vector<double> z{1, 2}, w{1, 1}, u{0.5, 0.5}, dy{1, 1}, rstd{1}, dots{0};
    std::vector<double> dz(2), dw(2), du(2), dw2{10, 20}, du2{30, 40};
    rela_norm_backward<Cpu<double>>({}, dz.data(), dw.data(), du.data(), dy.data(), z.data(), w.data(), u.data(),
                                    rstd.data(), dots.data(), 1, 2, 2);
    rela_norm_backward<Cpu<double>>({}, dz.data(), dw2.data(), du2.data(), dy.data(), z.data(), w.data(), u.data(),
                                    rstd.data(), dots.data(), 1, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        EXPECT_NE(dw[i], 0);
        EXPECT_NE(du[i], 0);
        EXPECT_DOUBLE_EQ(dw2[i], dw[i] + 10 + 10 * double(i));
        EXPECT_DOUBLE_EQ(du2[i], du[i] + 30 + 10 * double(i));
    }
}

// A token that no head has anything for: z = 0 gives y = 0, and finite gradients.
TEST(RelaNorm, RowsOfZeros) {
    const auto check = []<class T>(T) {
        const Shape n{2, 4, 1e-6};
        Tensors<T> x = cast_all<T>(inputs(n, true));
        std::fill(x[0].begin(), x[0].begin() + 4, T(0));
        std::vector<T> y(8, T(9));
        RelaNorm<T> norm{n, 1, {}};
        norm.forward(x, y);
        for (size_t i = 0; i < 4; i++) EXPECT_EQ(y[i], T(0));
        EXPECT_NEAR(norm.rstd[0], 1000, 1e-2);
        const auto dy = cast<T>(noise(8, 4));
        const auto g = norm.backward(x, dy);
        for (const auto& gradient : g)
            for (const T value : gradient) EXPECT_TRUE(std::isfinite(value));
        for (size_t i = 0; i < 4; i++) EXPECT_NEAR(g[0][i], norm.rstd[0] * x[1][i] * dy[i] / 2, 1e-3);  // s = 1 / 2
    };
    check(float());
    check(double());
}

// ReLU attention, norm and gate together, by numbers that were computed elsewhere in float64: 7 tokens, 2 heads of 3
// channels, of which values and outputs use the first 2 (the third is 0).
TEST(RelaNorm, OfReluAttentionHasTheGoldenValues) {
    const int64_t tokens = 7, heads = 2;
    const auto wave = [](size_t count, double a, double b) {
        std::vector<double> x;
        for (size_t i = 0; i < count; i++) x.push_back(std::sin(a * double(i) + b));
        return x;
    };
    const auto q = wave(42, 0.7, 0.3), k = wave(42, 1.3, -0.4), narrow = wave(28, 0.9, 1.1), dy = wave(28, 0.5, 0.2);
    std::vector<double> v(42), out(42), z, squares(7), rstd(7), y(28);
    for (size_t i = 0; i < narrow.size(); i++) v[i / 2 * 3 + i % 2] = narrow[i];
    relu_attention_forward<Cpu<double>>({}, out.data(), dense(q, 6), dense(k, 6), dense(v, 6), nullptr,
                                        {1, tokens, heads, heads, 3, 0, 1 / std::sqrt(3.0)});
    for (size_t i = 0; i < narrow.size(); i++) z.push_back(out[i / 2 * 3 + i % 2]);
    std::vector<double> w, u;
    for (int i = 0; i < 4; i++) w.push_back(1 + 0.1 * std::sin(i)), u.push_back(0.5 * std::cos(i));
    sum_of_squares_by_row<Cpu<double>>({}, squares.data(), z.data(), tokens, 4);
    rela_norm_forward<Cpu<double>>({}, y.data(), rstd.data(), z.data(), squares.data(), w.data(), u.data(), tokens, 4,
                                   4, 1e-6);
    double loss = 0;
    for (size_t i = 0; i < y.size(); i++) loss += y[i] * dy[i];
    EXPECT_NEAR(loss, 2.570397176656, 1e-11);
    const double row0[] = {.819947068, .847938687, 0, 0}, row6[] = {.732456397, .449107107, .477748646, .431890518};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_NEAR(y[i], row0[i], 1e-9);
        EXPECT_NEAR(y[24 + i], row6[i], 1e-9);
    }
}

}  // namespace
}  // namespace sluice
