// Muon's ops on CUDA.
#include <algorithm>
#include <cmath>

#include "cuda/case.h"
#include "kernels/muon_math.h"

namespace sluice {
namespace {

struct Size {
    int64_t rows, columns;
};
const Size kSizes[] = {{1, 1}, {0, 8}, {70, 3}, {3, 100}, {257, 8}, {70, 33}, {9, 130}, {64, 64}};

template <class T>
class Muon : public testing::Test {};
using Stored = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Muon, Stored);

std::string text(const Size& n) { return std::to_string(n.rows) + " x " + std::to_string(n.columns); }

TYPED_TEST(Muon, Momentum) {
    for (const int64_t count : {0, 1, 3, 8, 33, 1000, 2056, 12345}) {
        SCOPED_TRACE(count);
        hold<TypeParam>([&](auto& c) {
            using B = typename std::remove_reference_t<decltype(c)>::Backend;
            muon_momentum<B>(c.stream(), c.T("u", 1, count), c.A("b", 1, count), c.G("g", 1, count), count, 0.95, 0.3);
            c.result("u");
            c.result("b");
        });
    }
}

// Weights with masters, whose roundings they become; in float without, too. x stands in a wider matrix, behind
// eight columns or none: a stride may be odd where pointers are aligned.
TYPED_TEST(Muon, Update) {
    for (const Size& n : kSizes)
        for (const int64_t more : {0, 8, 13})
            for (const bool masters : {true, false}) {
                if (!masters && std::is_same_v<TypeParam, bf16>) continue;
                SCOPED_TRACE(text(n) + ", stride " + std::to_string(n.columns + more) + (masters ? ", masters" : ""));
                hold<TypeParam>([&](auto& c) {
                    using B = typename std::remove_reference_t<decltype(c)>::Backend;
                    const Rows<const typename B::T> x = c.part("x", n.rows, n.columns + more, more / 8 * 8);
                    // In double weights are their own masters: the test's are the masters of the backend under test.
                    if constexpr (std::is_same_v<B, Cpu<double>>) {
                        auto* w = masters ? c.A("master", n.rows, n.columns) : c.T("w", n.rows, n.columns);
                        muon_update<B>(c.stream(), w, nullptr, x, n.rows, n.columns, 0.1, 0.7, 0.3);
                        if (masters)
                            copy_rows<B>(c.stream(), {c.T("w", n.rows, n.columns), n.columns}, {w, n.columns}, n.rows,
                                         n.columns, Into::overwrite);
                    } else {
                        auto* master = masters ? c.A("master", n.rows, n.columns) : nullptr;
                        muon_update<B>(c.stream(), c.T("w", n.rows, n.columns), master, x, n.rows, n.columns, 0.1, 0.7,
                                       0.3);
                    }
                    if (masters) c.result("master");
                    c.result("w");
                });
            }
}

// What stands beside the rows of y stays.
TYPED_TEST(Muon, CopyRows) {
    for (const Size& n : kSizes)
        for (const auto [y_more, x_more] : {std::array<int64_t, 2>{0, 0}, {8, 0}, {13, 0}, {0, 8}, {8, 13}, {8, 8}})
            for (const Into into : {Into::overwrite, Into::add}) {
                SCOPED_TRACE(text(n) + ", strides + " + std::to_string(y_more) + ", " + std::to_string(x_more));
                hold<TypeParam>([&, y_more = y_more, x_more = x_more](auto& c) {
                    using B = typename std::remove_reference_t<decltype(c)>::Backend;
                    copy_rows<B>(c.stream(), c.part("y", n.rows, n.columns + y_more, y_more / 8 * 8),
                                 c.part("x", n.rows, n.columns + x_more, x_more / 8 * 8), n.rows, n.columns, into);
                    c.result("y");
                });
            }
}

// X X^T, or X^T X where that is the smaller, as (n, n) with n = min(rows, columns).
std::vector<double> gram(const std::vector<double>& x, const Size& size) {
    const bool wide = size.rows <= size.columns;
    const int64_t n = std::min(size.rows, size.columns), depth = std::max(size.rows, size.columns);
    std::vector<double> product(size_t(n * n), 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t l = 0; l < depth; l++)
                product[size_t(i * n + j)] += wide ? x[size_t(i * depth + l)] * x[size_t(j * depth + l)]
                                                   : x[size_t(l * n + i)] * x[size_t(l * n + j)];
    return product;
}

// The stream's scratch may hold anything before.
template <class B, class T>
std::vector<double> orthogonalized(const Size& size, double scale, int64_t shift = 0) {
    Case<B, T> c(shift);
    const std::vector<double> garbage(1024, std::nan(""));
    if (c.stream().scratch)
        memory_of<B>().to_device(c.stream(), c.stream().scratch, garbage.data(), 1024 * sizeof(double));
    orthogonalize<B>(c.stream(), c.T("x", size.rows, size.columns, scale), size.rows, size.columns,
                     c.T("scratch", 1, orthogonalize_scratch(size.rows, size.columns), scale));
    c.result("x");
    return c.results().at("x").values;
}

// A matrix of doubles, by rows.
struct Matrix {
    int64_t rows, columns;
    std::vector<double> values;

    double at(int64_t r, int64_t c) const { return values[size_t(r * columns + c)]; }
    Matrix transposed() const {
        Matrix t{columns, rows, {}};
        for (int64_t c = 0; c < columns; c++)
            for (int64_t r = 0; r < rows; r++) t.values.push_back(at(r, c));
        return t;
    }
    template <class T>
    Matrix rounded() const {
        Matrix all = *this;
        for (double& v : all.values) v = double(T(float(v)));
        return all;
    }
    friend Matrix operator*(const Matrix& x, const Matrix& y) {
        Matrix product{x.rows, y.columns, {}};
        for (int64_t r = 0; r < x.rows; r++)
            for (int64_t c = 0; c < y.columns; c++) {
                double sum = 0;
                for (int64_t i = 0; i < x.columns; i++) sum += x.at(r, i) * y.at(i, c);
                product.values.push_back(sum);
            }
        return product;
    }
    friend Matrix operator*(double scale, Matrix x) {
        for (double& v : x.values) v *= scale;
        return x;
    }
    friend Matrix operator+(Matrix x, const Matrix& y) {
        for (size_t i = 0; i < x.values.size(); i++) x.values[i] += y.values[i];
        return x;
    }
};

// The five steps in double, which round to T what kernels store: x, A and the polynomial.
template <class T>
std::vector<double> rounding_steps(const Size& size, double scale) {
    Case<Cpu<double>, T> c(0);
    c.T("x", size.rows, size.columns, scale);
    c.result("x");
    Matrix x{size.rows, size.columns, c.results().at("x").values};
    if (size.rows > size.columns) x = x.transposed();  // the smaller of the two squares
    double squares = 0;
    for (const double v : x.values) squares += v * v;
    x = (1 / (std::sqrt(squares) + NewtonSchulz::epsilon) * x).template rounded<T>();
    for (int step = 0; step < NewtonSchulz::steps; step++) {
        const Matrix A = (x * x.transposed()).template rounded<T>();
        const Matrix polynomial = (NewtonSchulz::b * A + NewtonSchulz::c * (A * A)).template rounded<T>();
        x = (NewtonSchulz::a * x + polynomial * x).template rounded<T>();
    }
    return (size.rows > size.columns ? x.transposed() : x).values;
}

const Size kMatrices[] = {{1, 1}, {1, 9}, {9, 1}, {5, 12}, {40, 33}, {33, 40}, {64, 64}, {24, 130}, {257, 8}};

// Against double that rounds where kernels do, as whole matrices, since each element of a product goes into all rows of
// the next. Double that does not round agrees in float; in bf16 what was rounded grows along the steps.
TYPED_TEST(Muon, OrthogonalizesAsTheReference) {
    for (const Size& size : kMatrices)
        for (const double scale : {1.0, 1e-6}) {
            SCOPED_TRACE(text(size) + " times " + std::to_string(scale));
            const int64_t count = size.rows * size.columns;
            const auto want = rounding_steps<TypeParam>(size, scale);
            std::vector<double> got, unaligned;
            by_library_and_in_tiles([&] {
                got = orthogonalized<Cuda<TypeParam>, TypeParam>(size, scale);
                unaligned = orthogonalized<Cuda<TypeParam>, TypeParam>(size, scale, 1);
                EXPECT_LT(distance(got, want, 0, count), kTolerance<TypeParam>);
                EXPECT_LT(distance(unaligned, want, 0, count), kTolerance<TypeParam>) << "unaligned";
                if constexpr (std::is_same_v<TypeParam, float>) {
                    const auto exact = orthogonalized<Cpu<double>, float>(size, scale);
                    EXPECT_LT(distance(got, exact, 0, count), kTolerance<float>);
                }
            });
            EXPECT_EQ(got, unaligned) << "in tiles";
        }
}

// The five steps take singular values to 0.7 .. 1.2, so the diagonal of the smaller Gram matrix to 0.5 .. 1.5; rows of
// a wide random matrix are near orthogonal before, and remain so.
TYPED_TEST(Muon, OrthogonalizesTowardsTheIdentity) {
    for (const Size& size : {Size{8, 130}, Size{130, 8}, Size{20, 100}}) {
        const auto product = gram(orthogonalized<Cuda<TypeParam>, TypeParam>(size, 3), size);
        const int64_t n = std::min(size.rows, size.columns);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                EXPECT_NEAR(product[size_t(i * n + j)], i == j ? 1 : 0, i == j ? 0.5 : 0.25)
                    << text(size) << ": " << i << ", " << j;
    }
}

// Nothing has no direction: 0 stays 0. A matrix without elements is nothing.
TYPED_TEST(Muon, OrthogonalizesZeros) {
    for (const double v : orthogonalized<Cuda<TypeParam>, TypeParam>({9, 5}, 0)) EXPECT_EQ(v, 0);
    EXPECT_TRUE((orthogonalized<Cuda<TypeParam>, TypeParam>({0, 5}, 1).empty()));
}

// Thread orders do not matter.
TYPED_TEST(Muon, OrthogonalizesWithTheSameBits) {
    for (const Size& size : {Size{33, 40}, Size{70, 3}, Size{130, 100}}) {
        std::vector<double> first;
        for (const int order : {0, 1, 2}) {
            set_thread_order(order);
            const auto x = orthogonalized<Cuda<TypeParam>, TypeParam>(size, 1);
            if (order == 0) first = x;
            EXPECT_EQ(x, first) << text(size) << ", order " << order;
        }
        set_thread_order(0);
    }
}

}  // namespace
}  // namespace sluice
