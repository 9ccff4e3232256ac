// ReLA's norm and the sums of rows that it needs, on a GPU's backend.
#include "cuda/case.h"

namespace sluice {
namespace {

template <class T>
class CudaRelaNorm : public testing::Test {};
using Types = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaRelaNorm, Types);

// More strips of columns than a block has warps, with a rest.
std::vector<MatrixSize> sizes() { return awkward_sizes({{33, 264}, {2, 2056}}); }

// Sums of squares that may be: above 0.
std::vector<double> squares(int64_t rows) {
    std::vector<double> all;
    for (int64_t r = 0; r < rows; r++) all.push_back(0.25 * double(r % 7 + 1));
    return all;
}

// f(rows, width, gated, in_place) for all sizes.
template <class F>
void each(F f) {
    for (const auto& [rows, width] : sizes())
        for (const bool gated : {false, true}) {
            const bool in_place = gated == (width % 2 == 0);  // so that each of the four is somewhere
            SCOPED_TRACE(testing::Message()
                         << rows << " x " << width << (gated ? " gated" : "") << (in_place ? " in place" : ""));
            f(rows, width, gated, in_place);
        }
}

TYPED_TEST(CudaRelaNorm, SumOfSquaresByRow) {
    for (const auto& [rows, width] : sizes()) {
        SCOPED_TRACE(testing::Message() << rows << " x " << width);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            sum_of_squares_by_row<B>(c.stream(), c.A("squares", rows, 1), c.T("z", rows, width), rows, width);
            c.result("squares");
        });
    }
}

TYPED_TEST(CudaRelaNorm, Forward) {
    each([](int64_t rows, int64_t width, bool gated, bool in_place) {
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            auto* z = c.T("z", rows, width);
            auto* of_rows = c.A_values("squares", squares(rows));
            rela_norm_forward<B>(c.stream(), in_place ? z : c.T("y", rows, width),
                                 in_place ? of_rows : c.A("rstd", rows, 1), z, of_rows, c.T("w", 1, width),
                                 gated ? c.T("u", 1, width) : nullptr, rows, width, 3 * width, 1e-3);
            for (const char* name : {in_place ? "z" : "y", in_place ? "squares" : "rstd"}) c.result(name);
        });
    });
}

TYPED_TEST(CudaRelaNorm, Dots) {
    each([](int64_t rows, int64_t width, bool gated, bool) {
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            rela_norm_dots<B>(c.stream(), c.A("dots", rows, 1), c.T("dy", rows, width), c.T("z", rows, width),
                              c.T("w", 1, width), gated ? c.T("u", 1, width) : nullptr, rows, width);
            c.result("dots");
        });
    });
}

TYPED_TEST(CudaRelaNorm, Backward) {
    each([](int64_t rows, int64_t width, bool gated, bool in_place) {
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            auto* dy = c.T("dy", rows, width);
            rela_norm_backward<B>(c.stream(), in_place ? dy : c.T("dz", rows, width), c.G("dw", 1, width),
                                  gated ? c.G("du", 1, width) : nullptr, dy, c.T("z", rows, width), c.T("w", 1, width),
                                  gated ? c.T("u", 1, width) : nullptr, c.A("rstd", rows, 1),
                                  c.A("dots", rows, 1, double(width)), rows, width, 3 * width);
            for (const char* name : {in_place ? "dy" : "dz", "dw"}) c.result(name);
            if (gated) c.result("du");
        });
    });
}

// Each tensor alone is not aligned to 16 bytes: an access may take only what all allow.
TYPED_TEST(CudaRelaNorm, AnyTensorMayBeUnaligned) {
    constexpr int64_t kRows = 3, kWidth = 16;
    for (int odd = 0; odd < 6; odd++) {
        SCOPED_TRACE(odd);
        Case<Cpu<double>, TypeParam> reference(0);
        Case<Cuda<TypeParam>, TypeParam> tested(0);
        const auto run = [&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            int number = 0;
            const auto at = [&](const char* name, int64_t count) {
                c.result(name);
                return c.T(name, 1, count + 1) + (number++ == odd);
            };
            auto *y = at("y", kRows * kWidth), *z = at("z", kRows * kWidth), *w = at("w", kWidth);
            auto *u = at("u", kWidth), *dy = at("dy", kRows * kWidth), *dz = at("dz", kRows * kWidth);
            auto *of_rows = c.A("squares", 1, kRows), *rstd = c.A("rstd", 1, kRows), *dots = c.A("dots", 1, kRows);
            for (const char* name : {"squares", "rstd", "dots"}) c.result(name);
            sum_of_squares_by_row<B>(c.stream(), of_rows, z, kRows, kWidth);
            rela_norm_forward<B>(c.stream(), y, rstd, z, of_rows, w, u, kRows, kWidth, kWidth, 1e-3);
            rela_norm_dots<B>(c.stream(), dots, dy, z, w, u, kRows, kWidth);
            rela_norm_backward<B>(c.stream(), dz, c.G("dw", 1, kWidth), c.G("du", 1, kWidth), dy, z, w, u, rstd, dots,
                                  kRows, kWidth, kWidth);
            return c.results();
        };
        const auto want = run(reference);
        for (const auto& [name, result] : run(tested)) expect_near(name, result, want.at(name));
    }
}

}  // namespace
}  // namespace sluice
