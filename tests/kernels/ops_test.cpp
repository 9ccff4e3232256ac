// Every op but attention and gates, over shapes that break assumptions.
#include "kernels/ops.h"

#include <limits>

#include "kernels/rows.h"
#include "support/hold.h"

namespace sluice {
namespace {

TEST(Linear, Gradients) {
    for (const auto [rows, in, out] : {std::array{1, 1, 1}, {3, 5, 7}, {65, 33, 9}, {2, 8, 40}})
        hold("linear", {noise(size_t(rows * in), 1), noise(size_t(out * in), 2)}, size_t(rows * out),
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 using B = Cpu<T>;
                 Tensors<T> g{std::vector<T>(x[0].size(), T(1)), std::vector<T>(x[1].size(), T(0))};
                 linear_forward<B>({}, y.data(), x[0].data(), x[1].data(), rows, in, out);
                 linear_backward_input<B>({}, g[0].data(), dout.data(), x[1].data(), rows, in, out, Into::overwrite);
                 linear_backward_weight<B>({}, g[1].data(), dout.data(), x[0].data(), rows, in, out);
                 return g;
             });
}

TEST(Linear, AddsAndTakesNoRows) {
    const auto run = []<class T>(T) {
        std::vector<T> x{1, 2, 3}, w{1, 0, 1, 0, 1, 0}, dy{1, 2}, dx{10, 10, 10}, dw(6, T(1));
        linear_backward_input<Cpu<T>>({}, dx.data(), dy.data(), w.data(), 1, 3, 2, Into::add);
        EXPECT_EQ(dx, (std::vector<T>{11, 12, 11}));
        linear_backward_weight<Cpu<T>>({}, dw.data(), dy.data(), x.data(), 1, 3, 2);
        EXPECT_EQ(dw, (std::vector<T>{2, 3, 4, 3, 5, 7}));
        linear_forward<Cpu<T>>({}, dx.data(), x.data(), w.data(), 0, 3, 2);
        linear_backward_weight<Cpu<T>>({}, dw.data(), dy.data(), x.data(), 0, 3, 2);
        EXPECT_EQ(dw, (std::vector<T>{2, 3, 4, 3, 5, 7}));
    };
    run(float());
    run(double());
}

TEST(Bias, Gradients) {
    for (const auto [rows, width] : {std::array{1, 1}, {130, 5}})
        hold("bias", {noise(size_t(rows * width), 1), noise(size_t(width), 2)}, size_t(rows * width),
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 y = x[0];
                 bias_forward<Cpu<T>>({}, dense(y, width), x[1].data(), rows, width);
                 Tensors<T> g{dout, std::vector<T>(size_t(width))};
                 bias_backward<Cpu<T>>({}, g[1].data(), dense(dout, width), rows, width);
                 return g;
             });
}

TEST(Embedding, Gradients) {
    const std::vector<int32_t> tokens{2, 0, 2, 2, 4}, order = rows_by_token(tokens);
    for (const int width : {1, 7, 130})
        for (const auto [first, vocab] : {std::array{0, 5}, {1, 2}, {4, 0}})  // the whole, or a part of the ids
            hold("embedding", {noise(size_t(vocab * width), 1)}, size_t(5 * width),
                 [&, first = first, vocab = vocab]<class T>(const Tensors<T>& x, const std::vector<T>& dout,
                                                            std::vector<T>& y) {
                     embedding_forward<Cpu<T>>({}, y.data(), tokens.data(), x[0].data(), 5, width, first, vocab);
                     Tensors<T> g{std::vector<T>(x[0].size())};
                     embedding_backward<Cpu<T>>({}, g[0].data(), dout.data(), tokens.data(), order.data(), 5, width,
                                                first, vocab);
                     return g;
                 });
}

// Gradients of one token are added one after another, in order of rows, however many cores their run is shared by.
template <class T>
void add_long_runs() {
    const int64_t rows = 9000, width = 8, vocab = 6;  // a core's chunk has 2048 rows
    std::vector<int32_t> tokens;
    for (int64_t r = 0; r < rows; r++) tokens.push_back(r % 9 < 4 ? 3 : r % 9 < 8 ? 5 : int32_t(r / 9 % 3));
    ASSERT_EQ(std::count(tokens.begin(), tokens.end(), 3), 4000);
    const auto order = rows_by_token(tokens);
    const auto dout = cast<T>(noise(size_t(rows * width), 1)), before = cast<T>(noise(size_t(vocab * width), 2));
    auto expected = before;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < width; k++)
            expected[size_t(tokens[size_t(r)] * width + k)] += dout[size_t(r * width + k)];
    for (const auto [first, ids] : {std::array<int64_t, 2>{0, vocab}, {0, 3}, {3, 2}, {4, 2}})
        for (const int threads : {1, 3}) {
            std::vector<T> dtable(before.begin() + first * width, before.begin() + (first + ids) * width);
            omp_set_num_threads(threads);
            embedding_backward<Cpu<T>>({}, dtable.data(), dout.data(), tokens.data(), order.data(), rows, width, first,
                                       ids);
            omp_set_num_threads(1);
            const auto part = expected.begin() + first * width;
            EXPECT_EQ(dtable, std::vector<T>(part, part + ids * width))
                << "ids from " << first << ", " << threads << " threads";
        }
}
TEST(Embedding, AddsLongRunsInOrderOfRows) {
    add_long_runs<float>();
    add_long_runs<double>();
}

TEST(RmsNorm, Gradients) {
    for (const auto [rows, width] : {std::array{1, 1}, {1, 9}, {70, 6}, {3, 33}})
        for (const Into into : {Into::overwrite, Into::add})
            hold("rmsnorm", {noise(size_t(rows * width), 1), noise(size_t(width), 2)}, size_t(rows * width),
                 [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                     std::vector<T> rstd(static_cast<size_t>(rows));
                     rmsnorm_forward<Cpu<T>>({}, y.data(), rstd.data(), x[0].data(), x[1].data(), rows, width, 0.5);
                     // Adding begins at zero; overwriting happens in dy's own place.
                     Tensors<T> g{into == Into::add ? std::vector<T>(dout.size()) : dout, std::vector<T>(x[1].size())};
                     const T* dy = into == Into::add ? dout.data() : g[0].data();
                     rmsnorm_backward<Cpu<T>>({}, g[0].data(), g[1].data(), dy, x[0].data(), x[1].data(), rstd.data(),
                                              rows, width, into);
                     return g;
                 });
}

TEST(Rope, TurnsBackAndGradients) {
    const RopeShape n{2, 3, 2, 6};
    const auto angle = noise(size_t(n.length * n.dim / 2), 5);
    const auto count = size_t(n.sequences * n.length * n.heads * n.dim);
    const int64_t width = n.heads * n.dim;
    hold("rope", {noise(count, 1)}, count,
         [&]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
             std::vector<T> cos, sin;
             for (double a : angle) cos.push_back(T(std::cos(a))), sin.push_back(T(std::sin(a)));
             y = x[0];
             rope<Cpu<T>>({}, dense(y, width), cos.data(), sin.data(), n, +1);
             Tensors<T> g{dout};
             rope<Cpu<T>>({}, dense(g[0], width), cos.data(), sin.data(), n, -1);
             return g;
         });
}

// Ops that do two things while a row is at hand give the bits of the two one after the other.
template <class T>
void expect_fused_to_be_exact() {
    using B = Cpu<T>;
    const int64_t rows = 70;
    for (const int64_t width : {6, 32, 100})
        for (const double clip : {0.0, 0.5}) {
            const size_t count = size_t(rows * width);
            const auto x = cast<T>(noise(count, 1)), y = cast<T>(noise(count, 2)), w = cast<T>(noise(size_t(width), 3));
            std::vector<T> out(count), normed(count), rstd(rows), out2(x), normed2(count), rstd2(rows);
            residual_forward<B>({}, out.data(), x.data(), y.data(), rows * width, clip);
            rmsnorm_forward<B>({}, normed.data(), rstd.data(), out.data(), w.data(), rows, width, 1e-3);
            residual_rmsnorm_forward<B>({}, out2.data(), normed2.data(), rstd2.data(), out2.data(), y.data(), w.data(),
                                        rows, width, 1e-3, clip);
            EXPECT_EQ(out, out2);
            EXPECT_EQ(normed, normed2);
            EXPECT_EQ(rstd, rstd2);
        }
    const RopeShape n{2, 5, 7, 10};  // as many rows
    const auto x = cast<T>(noise(700, 1)), w = cast<T>(noise(10, 2)), dy = cast<T>(noise(700, 3));
    const auto angle = noise(25, 4);
    std::vector<T> cos, sin, y(700), rstd(70), y2(700), rstd2(70), dx(dy), dw(10), dx2(dy), dw2(10);
    for (double a : angle) cos.push_back(T(std::cos(a))), sin.push_back(T(std::sin(a)));
    rmsnorm_forward<B>({}, y.data(), rstd.data(), x.data(), w.data(), 70, 10, 1e-3);
    rope<B>({}, dense(y, 70), cos.data(), sin.data(), n, +1);
    rmsnorm_rope_forward<B>({}, y2.data(), rstd2.data(), dense(x, 70), w.data(), cos.data(), sin.data(), n, 1e-3);
    EXPECT_EQ(y, y2);
    EXPECT_EQ(rstd, rstd2);
    rope<B>({}, dense(dx, 70), cos.data(), sin.data(), n, -1);
    rmsnorm_backward<B>({}, dx.data(), dw.data(), dx.data(), x.data(), w.data(), rstd.data(), 70, 10, Into::overwrite);
    rmsnorm_rope_backward<B>({}, dense(dx2, 70), dw2.data(), dense(dx2, 70), dense(x, 70), w.data(), rstd.data(),
                             cos.data(), sin.data(), n);
    EXPECT_LT(relative_error(dx2, dx), tolerance<T>());
    EXPECT_LT(relative_error(dw2, dw), tolerance<T>());
}
TEST(Fused, AreTheTwoOps) {
    expect_fused_to_be_exact<float>();
    expect_fused_to_be_exact<double>();
}

TEST(SwitchHeads, Gradients) {
    for (const auto [rows, heads, experts, dim, top_k] :
         {std::array{1, 1, 1, 1, 1}, {5, 2, 4, 3, 2}, {2, 1, 3, 7, 3}, {3, 2, 5, 2, 1}})
        hold("switch", {noise(size_t(rows * heads * experts * dim), 1), noise(size_t(rows * heads * experts), 2)},
             size_t(rows * heads * dim),
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 const int64_t width = heads * experts * dim, scores = heads * experts;
                 switch_forward<Cpu<T>>({}, y.data(), dense(x[0], width), dense(x[1], scores), rows, heads, experts,
                                        dim, top_k);
                 Tensors<T> g{std::vector<T>(x[0].size()), std::vector<T>(x[1].size())};
                 switch_backward<Cpu<T>>({}, dense(g[0], width), dense(g[1], scores), dout.data(), dense(x[0], width),
                                         dense(x[1], scores), rows, heads, experts, dim, top_k);
                 return g;
             });
}

TEST(SwitchHeads, LowerIndexWinsATie) {
    const std::vector<double> y{1, 10, 100}, s{0, 0, 0};
    double out = 0;
    switch_forward<Cpu<double>>({}, &out, dense(y, 3), dense(s, 3), 1, 1, 3, 1, 2);
    EXPECT_DOUBLE_EQ(out, 5.5);
}

TEST(Pointwise, Gradients) {
    for (const size_t n : {1, 17, 40})
        for (const auto& [word, act] : EnumNames<Activation>::all)
            hold(word, {noise(n, 1)}, n,
                 [=, act = act]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                     activation_forward<Cpu<T>>({}, y.data(), x[0].data(), int64_t(n), act);
                     Tensors<T> g{dout};
                     activation_backward<Cpu<T>>({}, g[0].data(), g[0].data(), x[0].data(), int64_t(n), act);
                     return g;
                 });
    for (const auto [rows, width] : {std::array{1, 33}, {5, 7}, {700, 30}})
        hold("swiglu", {noise(size_t(2 * rows * width), 1)}, size_t(rows * width),
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 swiglu_forward<Cpu<T>>({}, y.data(), x[0].data(), rows, width);
                 Tensors<T> g{x[0]};  // in place
                 swiglu_backward<Cpu<T>>({}, g[0].data(), dout.data(), g[0].data(), rows, width);
                 return g;
             });
    for (const double clip : {0.0, 0.5})
        hold("residual", {noise(33, 1), noise(33, 2)}, 33,
             [=]<class T>(const Tensors<T>& x, const std::vector<T>& dout, std::vector<T>& y) {
                 residual_forward<Cpu<T>>({}, y.data(), x[0].data(), x[1].data(), 33, clip);
                 Tensors<T> g{dout, dout};
                 residual_backward<Cpu<T>>({}, g[1].data(), dout.data(), x[1].data(), 33, clip);
                 return g;
             });
}

TEST(SwiGlu, TheHalvesOfARowAreGateAndUp) {
    const std::vector<double> gate_up{1, 2, 3, 4, 5, 6, 7, 8};
    std::vector<double> h(4);
    swiglu_forward<Cpu<double>>({}, h.data(), gate_up.data(), 2, 2);
    const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
    EXPECT_LT(relative_error(h, std::vector<double>{silu(1) * 3, silu(2) * 4, silu(5) * 7, silu(6) * 8}), 1e-14);
}

TEST(Residual, ClipsAndPassesNoGradient) {
    const std::vector<double> x{0, 0, 0, 0}, y{2, -2, 0.5, 1}, dout{1, 1, 1, 1};
    std::vector<double> out(4), dy(4);
    residual_forward<Cpu<double>>({}, out.data(), x.data(), y.data(), 4, 1.0);
    residual_backward<Cpu<double>>({}, dy.data(), dout.data(), y.data(), 4, 1.0);
    EXPECT_EQ(out, (std::vector<double>{1, -1, 0.5, 1}));
    EXPECT_EQ(dy, (std::vector<double>{0, 0, 1, 0}));
}

// The loss and the slope of rows of logits, whose vocabulary is cut into parts.
template <class T>
void cross_entropy(std::vector<T>& losses, std::vector<T>& slopes, const std::vector<T>& logits,
                   const std::vector<int32_t>& targets, int64_t vocab, int64_t parts, const std::vector<T>& scales) {
    const int64_t rows = int64_t(targets.size()), width = (vocab + parts - 1) / parts;
    std::vector<T> stats(size_t(3 * rows * parts)), lse(static_cast<size_t>(rows)), row;
    const auto cut = [&](int64_t r, int64_t p) {
        const int64_t begin = std::min(vocab, p * width), end = std::min(vocab, begin + width);
        row.assign(logits.begin() + r * vocab + begin, logits.begin() + r * vocab + end);
        return begin;
    };
    for (int64_t p = 0; p < parts; p++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t begin = cut(r, p);
            cross_entropy_stats<Cpu<T>>({}, &stats[size_t(3 * (p * rows + r))], nullptr, row.data(),
                                        &targets[size_t(r)], 1, begin, int64_t(row.size()));
        }
    cross_entropy_join<Cpu<T>>({}, losses.data(), lse.data(), stats.data(), targets.data(), rows, parts);
    for (int64_t p = 0; p < parts; p++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t begin = cut(r, p);
            T* part = &stats[size_t(3 * (p * rows + r))];
            const std::vector<T> told(part, part + 3);
            cross_entropy_stats<Cpu<T>>({}, part, row.data(), row.data(), &targets[size_t(r)], 1, begin,
                                        int64_t(row.size()));
            if (!row.empty() && !std::isnan(told[1])) {
                EXPECT_LT(relative_error(std::vector<T>(part, part + 3), told), tolerance<T>());
            }
            cross_entropy_backward<Cpu<T>>({}, row.data(), part, &lse[size_t(r)], &targets[size_t(r)], 1, begin,
                                           int64_t(row.size()), double(scales[size_t(r)]));
            std::copy(row.begin(), row.end(), slopes.begin() + r * vocab + begin);
        }
}

TEST(CrossEntropy, Gradients) {
    for (const auto [rows, vocab, parts] : {std::array{1, 2, 1}, {5, 37, 1}, {3, 300, 1}, {5, 37, 3}, {4, 5, 4}}) {
        std::vector<int32_t> targets;
        for (int r = 0; r < rows; r++) targets.push_back(r == 1 ? -1 : (7 * r) % vocab);
        hold("cross entropy", {noise(size_t(rows * vocab), 1)}, size_t(rows),
             [&, vocab = vocab, parts = parts]<class T>(const Tensors<T>& x, const std::vector<T>& dout,
                                                        std::vector<T>& y) {
                 Tensors<T> g{x[0]};
                 cross_entropy(y, g[0], x[0], targets, vocab, parts, dout);
                 return g;
             });
    }
}

TEST(CrossEntropy, SurvivesLargeLogitsAndShowsNaN) {
    std::vector<float> logits{1e30f, -1e30f, 0}, slopes(3), loss(1);
    for (const int parts : {1, 2}) {
        logits[1] = -1e30f;
        cross_entropy<float>(loss, slopes, logits, {0}, 3, parts, {1});
        EXPECT_EQ(loss[0], 0);
        logits[1] = std::numeric_limits<float>::quiet_NaN();
        cross_entropy<float>(loss, slopes, logits, {0}, 3, parts, {1});
        EXPECT_TRUE(std::isnan(loss[0]));
        EXPECT_TRUE(std::isnan(slopes[2]));
    }
}

TEST(AdamW, FollowsTheFormula) {
    const auto run = []<class T>(T) {
        const AdamW n{0.1, 0.9, 0.95, 1e-8, 0.2, 0.5, 1 - 0.9, 1 - 0.95};
        std::vector<T> w{1, -2}, m{0, 0}, v{0, 0}, g{4, -0.5};
        const AdamWSpan all{0, 0, 0, 2, true};
        adamw<Cpu<T>>({}, w.data(), nullptr, m.data(), v.data(), g.data(), &all, 1, n);
        EXPECT_LT(relative_error(w, std::vector<double>{1 * 0.98 - 0.1, -2 * 0.98 + 0.1}), tolerance<float>());
        EXPECT_LT(relative_error(m, std::vector<double>{0.2, -0.025}), tolerance<float>());
        EXPECT_LT(relative_error(v, std::vector<double>{0.05 * 4, 0.05 * 0.0625}), tolerance<float>());
    };
    run(float());
    run(double());
}

TEST(SumOfSquares, InAFixedOrder) {
    std::vector<float> x(200'000);
    double sum = 0;
    for (size_t i = 0; i < x.size(); i++) sum += double(x[i] = float(i % 13) - 6) * x[i];
    double total = 0;
    const Span all{0, int64_t(x.size())};
    sum_of_squares<Cpu<float>>({}, &total, x.data(), &all, 1);
    EXPECT_DOUBLE_EQ(total, sum);
}

}  // namespace
}  // namespace sluice
