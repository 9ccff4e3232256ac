// Linear maps of CUDA: products by the library, and tiled ones.
#include "cuda/case.h"

namespace sluice {
namespace {

struct Size {
    int64_t rows, in, out;
};
// Tiles are 64 x 64, in steps of 16 along the sum; accesses of 16 bytes are 4 floats or 8 bf16.
const Size kSizes[] = {{1, 1, 1},   {0, 8, 3},     {3, 33, 1},    {70, 3, 100}, {5, 8, 33},
                       {1, 130, 8}, {70, 100, 33}, {64, 16, 128}, {257, 8, 3},  {67, 72, 136}};

template <class T>
class Linear : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Linear, Stored);

std::string text(const Size& n) {
    return std::to_string(n.rows) + " rows, " + std::to_string(n.in) + " -> " + std::to_string(n.out);
}

// Of each size, by either.
template <class T, class F>
void hold_both(F f) {
    by_library_and_in_tiles([&] { hold<T>(f); });
}

// y begins with numbers that must be gone. Y is B::T and B::A in turn.
TYPED_TEST(Linear, Forward) {
    for (const Size& n : kSizes) {
        SCOPED_TRACE(text(n));
        hold_both<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            auto *x = c.T("x", n.rows, n.in), *w = c.T("w", n.out, n.in);
            linear_forward<B>(c.stream(), c.T("y", n.rows, n.out), x, w, n.rows, n.in, n.out);
            linear_forward<B>(c.stream(), c.A("unrounded", n.rows, n.out), x, w, n.rows, n.in, n.out);
            c.result("y");
            c.result("unrounded");
        });
    }
}

TYPED_TEST(Linear, BackwardInput) {
    for (const Size& n : kSizes)
        for (const Into into : {Into::overwrite, Into::add}) {
            SCOPED_TRACE(text(n) + (into == Into::add ? ", adding" : ""));
            hold_both<TypeParam>([&](auto& c) {
                using B = typename std::remove_reference_t<decltype(c)>::Backend;
                linear_backward_input<B>(c.stream(), c.T("dx", n.rows, n.in), c.T("dy", n.rows, n.out),
                                         c.T("w", n.out, n.in), n.rows, n.in, n.out, into);
                c.result("dx");
            });
        }
}

TYPED_TEST(Linear, BackwardWeight) {
    for (const Size& n : kSizes) {
        SCOPED_TRACE(text(n));
        hold_both<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            linear_backward_weight<B>(c.stream(), c.G("dw", n.out, n.in), c.T("dy", n.rows, n.out),
                                      c.T("x", n.rows, n.in), n.rows, n.in, n.out);
            c.result("dw");
        });
    }
}

// Where an extent of the sum is 0, the sum is 0: with `out` 0 there is no gradient of x.
TYPED_TEST(Linear, EmptySums) {
    hold_both<TypeParam>([&](auto& c) {
        using B = typename std::remove_reference_t<decltype(c)>::Backend;
        linear_backward_input<B>(c.stream(), c.T("dx", 5, 7), c.T("dy", 5, 0), c.T("w", 0, 7), 5, 7, 0,
                                 Into::overwrite);
        linear_backward_input<B>(c.stream(), c.T("more", 5, 7), c.T("dy", 5, 0), c.T("w", 0, 7), 5, 7, 0, Into::add);
        c.result("dx");
        c.result("more");
    });
}

// With MatmulPrecision::bf16, products of floats are those of the same numbers rounded to bf16, bit for bit.
TEST(LinearPrecision, RoundsFactorsToBf16) {
    const Size n = {70, 33, 65};
    const auto run = [&](auto& c, MatmulPrecision precision) {
        Stream stream = c.stream();
        stream.matmul = precision;
        const auto *x = c.T("x", n.rows, n.in), *w = c.T("w", n.out, n.in), *dy = c.T("dy", n.rows, n.out);
        linear_forward<Cuda<float>>(stream, c.A("y", n.rows, n.out), x, w, n.rows, n.in, n.out);
        linear_backward_input<Cuda<float>>(stream, c.A("dx", n.rows, n.in), dy, w, n.rows, n.in, n.out, Into::add);
        linear_backward_weight<Cuda<float>>(stream, c.G("dw", n.out, n.in), dy, x, n.rows, n.in, n.out);
        for (const char* name : {"y", "dx", "dw"}) c.result(name);
        return c.results();
    };
    Case<Cuda<float>, float> floats(0), full(0);
    Case<Cuda<float>, bf16> rounded(0);
    const auto got = run(floats, MatmulPrecision::bf16), want = run(rounded, MatmulPrecision::full);
    const auto unlike = run(full, MatmulPrecision::full);
    for (const char* name : {"y", "dx", "dw"}) {
        EXPECT_EQ(got.at(name).values, want.at(name).values) << name;
        EXPECT_NE(got.at(name).values, unlike.at(name).values) << name;
    }
}

}  // namespace
}  // namespace sluice
