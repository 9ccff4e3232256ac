// RMSNorm, its fusion with the residual sum, RoPE, and both fused, on a GPU's backend.
#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaNorm : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaNorm, Types);

std::vector<MatrixSize> sizes() {
    std::vector<MatrixSize> more;
    // A warp a row, up to 256 elements; then blocks of 128, 256 and 512 threads; and rows that are read twice. At each
    // border and past it, with accesses of 16 bytes and of one element.
    for (const int64_t width : {256, 257, 1024, 1032, 2048, 2056, 8192, 8200}) more.push_back({2, width});
    more.push_back({18, 264});  // more rows than a chunk of backward has
    return awkward_sizes(more);
}

TYPED_TEST(CudaNorm, RmsNormForward) {
    bool in_place = false;
    for (const auto& [rows, width] : sizes()) {
        in_place = !in_place;  // so that it is at one of the two sizes at each border
        SCOPED_TRACE(testing::Message() << rows << " x " << width << (in_place ? " in place" : ""));
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            auto* x = c.T("x", rows, width);
            rmsnorm_forward<B>(c.stream(), in_place ? x : c.T("y", rows, width), c.A("rstd", rows, 1), x,
                               c.T("w", 1, width), rows, width, 1e-3);
            for (const char* name : {in_place ? "x" : "y", "rstd"}) c.result(name);
        });
    }
}

template <class T>
void hold_backward(int64_t rows, int64_t width, Into into, bool in_place) {
    SCOPED_TRACE(testing::Message() << rows << " x " << width << (into == Into::add ? " add" : "")
                                    << (in_place ? " in place" : ""));
    hold<T>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        auto* dy = c.T("dy", rows, width);
        rmsnorm_backward<B>(c.stream(), in_place ? dy : c.T("dx", rows, width), c.G("dw", 1, width), dy,
                            c.T("x", rows, width), c.T("w", 1, width), c.A("rstd", rows, 1), rows, width, into);
        for (const char* name : {in_place ? "dy" : "dx", "dw"}) c.result(name);
    });
}
TYPED_TEST(CudaNorm, RmsNormBackward) {
    for (const auto& [rows, width] : sizes()) {
        hold_backward<TypeParam>(rows, width, Into::overwrite, width % 3 != 1);
        hold_backward<TypeParam>(rows, width, Into::add, false);
    }
}

// Each tensor alone is not aligned to 16 bytes, or its rows are not: an access may take only what all allow.
TYPED_TEST(CudaNorm, AnyTensorMayBeUnaligned) {
    constexpr int64_t kRows = 3, kWidth = 16;
    for (int odd = 0; odd < 17; odd++) {
        SCOPED_TRACE(odd);
        Case<Cpu<double>, TypeParam> reference(0);
        Case<Cuda<TypeParam>, TypeParam> tested(0);
        const auto run = [&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            int number = 0;
            const auto at = [&](const char* name, int64_t count) {
                c.result(name);
                return c.T(name, 1, count + kRows + 1) + (number++ == odd);
            };
            auto *x = at("x", kRows * kWidth), *y = at("y", kRows * kWidth), *w = at("w", kWidth);
            auto *out = at("out", kRows * kWidth), *normed = at("normed", kRows * kWidth);
            auto *dx = at("dx", kRows * kWidth), *dy = at("dy", kRows * kWidth), *turned = at("turned", kRows * kWidth);
            auto *back = at("back", kRows * kWidth), *of_rope = c.T("of_rope", 1, kRows * kWidth);
            c.result("of_rope");
            auto *cos = c.A("cos", 1, kWidth / 2 + 1) + (odd == 9), *sin = c.A("sin", 1, kWidth / 2 + 1) + (odd == 10);
            auto* rstd = c.A("rstd", 1, kRows + 1) + (odd == 16);
            const RopeShape n{kRows, 1, 1, kWidth};
            rmsnorm_forward<B>(c.stream(), y, rstd, x, w, kRows, kWidth, 1e-3);
            rope<B>(c.stream(), {turned, kWidth + (odd == 11)}, cos, sin, n, 1);
            rmsnorm_backward<B>(c.stream(), dx, c.G("dw", 1, kWidth), dy, x, w, rstd, kRows, kWidth, Into::add);
            residual_rmsnorm_forward<B>(c.stream(), out, normed, rstd, x, dy, w, kRows, kWidth, 1e-3, 0);
            rmsnorm_rope_forward<B>(c.stream(), of_rope, rstd, {x, kWidth + (odd == 12)}, w, cos, sin, n, 1e-3);
            rmsnorm_rope_backward<B>(c.stream(), {back, kWidth + (odd == 13)}, c.G("dw", 1, kWidth),
                                     {dy, kWidth + (odd == 14)}, {x, kWidth + (odd == 15)}, w, rstd, cos, sin, n);
            return c.results();
        };
        const auto want = run(reference);
        for (const auto& [name, result] : run(tested))
            EXPECT_LE(distance(result.values, want.at(name).values, 0, result.width), kTolerance<TypeParam>) << name;
    }
}

// More rows than blocks have at a time, and more than chunks of the least length.
TYPED_TEST(CudaNorm, RmsNormOfManyRows) {
    constexpr int64_t kRows = 8300, kWidth = 2;
    Case<Cpu<double>, TypeParam> reference(0);
    Case<Cuda<TypeParam>, TypeParam> tested(0);
    const auto run = [&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        auto *x = c.T("x", kRows, kWidth), *w = c.T("w", 1, kWidth), *dy = c.T("dy", kRows, kWidth);
        rmsnorm_forward<B>(c.stream(), c.T("y", kRows, kWidth), c.A("rstd", kRows, 1), x, w, kRows, kWidth, 1e-3);
        rmsnorm_backward<B>(c.stream(), c.T("dx", kRows, kWidth), c.G("dw", 1, kWidth), dy, x, w,
                            c.A("any_rstd", kRows, 1), kRows, kWidth, Into::overwrite);
        for (const char* name : {"y", "rstd", "dx", "dw"}) c.result(name);
        return c.results();
    };
    const auto want = run(reference);
    for (const auto& [name, result] : run(tested)) expect_near(name, result, want.at(name));
}

TYPED_TEST(CudaNorm, ResidualRmsNorm) {
    double clip = 0;
    for (const auto& [rows, width] : sizes()) {
        clip = clip == 0 ? 0.5 : 0;  // so that either is at one of the two sizes at each border
        const bool in_place = clip != 0;
        SCOPED_TRACE(testing::Message() << rows << " x " << width << " clip " << clip);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            auto* x = c.T("x", rows, width);
            residual_rmsnorm_forward<B>(c.stream(), in_place ? x : c.T("out", rows, width), c.T("normed", rows, width),
                                        c.A("rstd", rows, 1), x, c.T("y", rows, width), c.T("w", 1, width), rows, width,
                                        1e-3, clip);
            for (const char* name : {in_place ? "x" : "out", "normed"}) c.result(name);
            // In bf16 it is that of the rounded sum, which the test below holds.
            if (std::is_same_v<TypeParam, float>) c.result("rstd");
        });
    }
}

TYPED_TEST(CudaNorm, ResidualRmsNormHasTheBitsOfTheTwo) {
    using B = Cuda<TypeParam>;
    for (const int64_t width : {33, 130, 264, 1032, 8200})
        for (const int64_t shift : {0, 1})
            for (const double clip : {0.0, 0.5}) {
                SCOPED_TRACE(testing::Message() << width << " shift " << shift << " clip " << clip);
                constexpr int64_t kRows = 2;
                Case<B, TypeParam> c(shift);
                auto *x = c.T("x", kRows, width), *y = c.T("y", kRows, width), *w = c.T("w", 1, width);
                auto *out = c.T("out", kRows, width), *sum = c.T("sum", kRows, width);
                residual_rmsnorm_forward<B>(c.stream(), out, c.T("normed", kRows, width), c.A("rstd", kRows, 1), x, y,
                                            w, kRows, width, 1e-3, clip);
                residual_forward<B>(c.stream(), sum, x, y, kRows * width, clip);
                rmsnorm_forward<B>(c.stream(), c.T("norm", kRows, width), c.A("r", kRows, 1), sum, w, kRows, width,
                                   1e-3);
                for (const char* name : {"out", "sum", "normed", "norm", "rstd", "r"}) c.result(name);
                auto all = c.results();
                EXPECT_EQ(all["out"].values, all["sum"].values);
                EXPECT_EQ(all["normed"].values, all["norm"].values);
                EXPECT_EQ(all["rstd"].values, all["r"].values);
            }
}

// `more`: elements by which tokens are further apart than their heads need; `skip` of them stand before the heads.
struct Heads {
    RopeShape n;
    int64_t more = 0, skip = 0;
    int64_t tokens() const { return n.sequences * n.length; }
    int64_t width() const { return n.heads * n.dim; }
    int64_t stride() const { return width() + more; }
};
std::ostream& operator<<(std::ostream& to, const Heads& h) {
    return to << h.n.sequences << " x " << h.n.length << " x " << h.n.heads << " x " << h.n.dim << " more " << h.more
              << " skip " << h.skip;
}
std::vector<Heads> heads() {
    std::vector<Heads> all = {{{0, 7, 3, 8}},  {{2, 0, 3, 8}},  {{1, 1, 1, 2}},
                              {{1, 1, 2, 64}}, {{2, 35, 1, 6}}, {{1, 257, 1, 4}, 2, 1}};
    for (const int64_t dim : {2, 8, 10, 16, 32, 34, 64, 100, 128, 130, 256}) {
        all.push_back({{2, 9, 3, dim}, 16, 8});
        all.push_back({{2, 2, 9, dim}, 5, 0});
    }
    for (const int64_t dim : {258, 512, 520}) all.push_back({{1, 3, 2, dim}, 8, 8});
    all.push_back({{1, 2, 33, 16}});  // more heads than a group takes at once
    return all;
}

TYPED_TEST(CudaNorm, Rope) {
    for (const Heads& h : heads())
        for (const int direction : {1, -1}) {
            SCOPED_TRACE(testing::Message() << h << " direction " << direction);
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                rope<B>(c.stream(), c.part("x", h.tokens(), h.stride(), h.skip), c.A("cos", h.n.length, h.n.dim / 2),
                        c.A("sin", h.n.length, h.n.dim / 2), h.n, direction);
                c.result("x");
            });
        }
}

TYPED_TEST(CudaNorm, RmsNormRopeForward) {
    for (const Heads& h : heads()) {
        SCOPED_TRACE(testing::Message() << h);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            rmsnorm_rope_forward<B>(c.stream(), c.T("y", h.tokens(), h.width()), c.A("rstd", h.tokens(), h.n.heads),
                                    c.part("x", h.tokens(), h.stride(), h.skip), c.T("w", 1, h.n.dim),
                                    c.A("cos", h.n.length, h.n.dim / 2), c.A("sin", h.n.length, h.n.dim / 2), h.n,
                                    1e-3);
            for (const char* name : {"y", "rstd"}) c.result(name);
        });
    }
}

TYPED_TEST(CudaNorm, RmsNormRopeBackward) {
    for (const Heads& h : heads())
        for (const bool in_place : {false, true}) {
            SCOPED_TRACE(testing::Message() << h << (in_place ? " in place" : ""));
            hold<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                const auto dy = c.part("dy", h.tokens(), h.stride(), h.skip);
                // Rows of each tensor stand apart by a number of their own.
                const auto dx = in_place ? dy : c.part("dx", h.tokens(), h.stride() + 8, h.skip);
                rmsnorm_rope_backward<B>(c.stream(), dx, c.G("dw", 1, h.n.dim), dy,
                                         c.part("x", h.tokens(), h.stride() + 16, h.skip), c.T("w", 1, h.n.dim),
                                         c.A("rstd", h.tokens(), h.n.heads), c.A("cos", h.n.length, h.n.dim / 2),
                                         c.A("sin", h.n.length, h.n.dim / 2), h.n);
                for (const char* name : {in_place ? "dy" : "dx", "dw"}) c.result(name);
            });
        }
}

}  // namespace
}  // namespace sluice
