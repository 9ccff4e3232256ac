// Every way a score can be broadcast, every activation, every combination.
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
                    const Activation act = act_value;
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
