// Every way a score can be broadcast, every activation, every combination.
#include <array>
#include <limits>

#include "kernels/ops.h"
#include "kernels/rows.h"
#include "support/hold.h"

namespace sluice {
namespace {

TEST(Gate, EveryVariant) {
    for (const auto [R, H, K] : {std::array<int64_t, 3>{1, 1, 1}, {5, 3, 7}, {70, 2, 4}}) {
        const struct {
            const char* name;
            GateShape n;
        } shapes[] = {{"elementwise", {R, H, K, {H * K, K, 1}}},
                      {"headwise", {R, H, K, {H, 1, 0}}},
                      {"shared", {R, H, K, {K, 0, 1}}},
                      {"shared headwise", {R, H, K, {1, 0, 0}}},
                      {"constant", {R, H, K, {0, K, 1}}},
                      {"constant headwise", {R, H, K, {0, 1, 0}}},
                      {"constant shared", {R, H, K, {0, 0, 1}}},
                      {"constant scalar", {R, H, K, {0, 0, 0}}},
                      {"output", {R, 1, H * K, {H * K, H * K, 1}}}};
        for (const auto& shape : shapes)
            for (const auto& [act_word, act_value] : EnumNames<Activation>::all)
                for (const auto& [how_word, how_value] : EnumNames<Combine>::all) {
                    const GateShape n = shape.n;
                    const Factor act{act_value, 1.5};
                    const Combine how = how_value;
                    const size_t elements = size_t(R * H * K);
                    hold(std::string(shape.name) + " " + act_word + " " + how_word,
                         {noise(elements, 1), noise(size_t(n.scores()), 2)}, elements,
                         [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                             gate_forward<Cpu<T>>({}, y.data(), dense(x[0], H * K), x[1].data(), n, act, how);
                             Tensors<T> g{dout, std::vector<T>(x[1].size(), T(5))};
                             gate_backward<Cpu<T>>({}, dense(g[0], H * K), g[1].data(), dense(g[0], H * K),
                                                   dense(x[0], H * K), x[1].data(), n, act, how, Into::overwrite);
                             return g;
                         });
                }
    }
}

// Softplus and tanh, value and slope: each number of float to float's tolerance, from tiny scores to where float ends.
TEST(Gate, SoftplusAndTanhOfEveryMagnitude) {
    for (const Activation act : {Activation::softplus, Activation::tanh}) {
        SCOPED_TRACE(enum_name(act));
        std::vector<double> x;
        for (double s = 1e-6; s < 80; s *= 1.01) x.insert(x.end(), {s, -s});
        const int64_t n = int64_t(x.size());
        const auto value_and_slope = [&]<class T>(T) {
            const auto s = cast<T>(x);
            std::vector<T> both(size_t(2 * n), T(1));
            activation_forward<Cpu<T>>({}, both.data(), s.data(), n, act);
            activation_backward<Cpu<T>>({}, both.data() + n, both.data() + n, s.data(), n, act);
            return both;
        };
        const auto narrow = value_and_slope(0.0f);
        x = cast<double>(cast<float>(x));
        const auto wide = value_and_slope(0.0);
        for (size_t i = 0; i < wide.size(); i++)
            if (std::abs(wide[i]) > 1e-30) {
                EXPECT_LT(std::abs(narrow[i] / wide[i] - 1), tolerance<float>()) << "of " << x[i % size_t(n)];
            }
    }
}

TEST(Gate, SoftplusAndTanhAtTheirLimits) {
    const auto of = []<class T>(Activation act, T s) {
        std::array<T, 2> y{0, 1};
        activation_forward<Cpu<T>>({}, &y[0], &s, 1, act);
        activation_backward<Cpu<T>>({}, &y[1], &y[1], &s, 1, act);
        return y;
    };
    const auto hold_limits = [&]<class T>(T) {
        for (const T far : {T(1e4), T(1e30), std::numeric_limits<T>::infinity()}) {
            EXPECT_EQ(of(Activation::softplus, far), (std::array<T, 2>{far, 1}));
            EXPECT_EQ(of(Activation::softplus, -far), (std::array<T, 2>{0, 0}));
            EXPECT_EQ(of(Activation::tanh, far), (std::array<T, 2>{1, 0}));
            EXPECT_EQ(of(Activation::tanh, -far), (std::array<T, 2>{-1, 0}));
        }
        for (const Activation act : {Activation::softplus, Activation::tanh})
            for (const T y : of(act, std::numeric_limits<T>::quiet_NaN())) EXPECT_TRUE(std::isnan(y));
    };
    hold_limits(0.0f);
    hold_limits(0.0);
}

TEST(Gate, AddsToAConstantsGradient) {
    const GateShape n{3, 1, 2, {0, 0, 1}};
    const std::vector<double> y{1, 2, 3, 4, 5, 6}, s{0, 0}, dout{1, 1, 1, 1, 1, 1};
    std::vector<double> dy(6), ds{100, 200};
    gate_backward<Cpu<double>>({}, dense(dy, 2), ds.data(), dense(dout, 2), dense(y, 2), s.data(), n,
                               Activation::identity, Combine::multiply, Into::add);
    EXPECT_EQ(ds, (std::vector<double>{109, 212}));
}

TEST(HeadMean, Gradients) {
    for (const auto [rows, heads, channels] : {std::array<int64_t, 3>{1, 1, 1}, {4, 3, 5}})
        hold("head mean", {noise(size_t(rows * heads * channels), 1)}, size_t(rows * channels),
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 const int64_t width = heads * channels;
                 head_mean_forward<Cpu<T>>({}, y.data(), dense(x[0], width), rows, heads, channels, 2 * heads);
                 Tensors<T> g{std::vector<T>(x[0].size(), T(NAN))};
                 head_mean_backward<Cpu<T>>({}, dense(g[0], width), dout.data(), rows, heads, channels, 2 * heads);
                 return g;
             });
}

}  // namespace
}  // namespace sluice
