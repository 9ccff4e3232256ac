// Muon's ops against its formulas written out, over wide, tall, square and degenerate matrices.
#include <cmath>

#include "kernels/ops.h"
#include "kernels/rows.h"
#include "support/hold.h"

namespace sluice {
namespace {

using Matrix = std::vector<double>;  // (rows, columns)

Matrix transposed(const Matrix& x, int rows, int columns) {
    Matrix y(x.size());
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) y[size_t(j * rows + i)] = x[size_t(i * columns + j)];
    return y;
}
Matrix product(const Matrix& x, const Matrix& y, int rows, int inner, int columns) {
    Matrix z(size_t(rows * columns), 0.0);
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < inner; k++)
            for (int j = 0; j < columns; j++)
                z[size_t(i * columns + j)] += x[size_t(i * inner + k)] * y[size_t(k * columns + j)];
    return z;
}

Matrix orthogonalized(Matrix x, int rows, int columns) {
    if (rows > columns) return transposed(orthogonalized(transposed(x, rows, columns), columns, rows), columns, rows);
    double squares = 0;
    for (double v : x) squares += v * v;
    for (double& v : x) v /= std::sqrt(squares) + 1e-7;
    for (int step = 0; step < 5; step++) {
        const Matrix a = product(x, transposed(x, rows, columns), rows, columns, rows);
        Matrix p = product(a, a, rows, rows, rows);
        for (size_t i = 0; i < p.size(); i++) p[i] = -4.7750 * a[i] + 2.0315 * p[i];
        const Matrix px = product(p, x, rows, rows, columns);
        for (size_t i = 0; i < x.size(); i++) x[i] = 3.4445 * x[i] + px[i];
    }
    return x;
}

template <class T>
std::vector<T> orthogonalized_by_op(const Matrix& x, int rows, int columns) {
    std::vector<T> y = cast<T>(x), scratch(size_t(orthogonalize_scratch(rows, columns)), T(7));
    orthogonalize<Cpu<T>>({}, y.data(), rows, columns, scratch.data());
    return y;
}

TEST(Muon, OrthogonalizesAsWrittenOut) {
    for (const auto& [rows, columns] :
         {std::pair{1, 1}, {1, 9}, {9, 1}, {4, 4}, {5, 12}, {12, 5}, {33, 40}, {40, 33}, {64, 17}}) {
        const Matrix x = noise(size_t(rows * columns), rows + 3 * columns), y = orthogonalized(x, rows, columns);
        EXPECT_LT(relative_error(orthogonalized_by_op<double>(x, rows, columns), y), tolerance<double>())
            << rows << " x " << columns;
        // Float's rounding grows along the five steps.
        EXPECT_LT(relative_error(orthogonalized_by_op<float>(x, rows, columns), y), 20 * tolerance<float>())
            << rows << " x " << columns;
    }
}

TEST(Muon, SingularValuesComeToAroundOne) {
    const std::vector<double> diagonal{3, -1, 0.4, 0.2};
    Matrix x(4 * 6, 0.0);
    for (size_t i = 0; i < 4; i++) x[i * 6 + i] = diagonal[i];
    const auto y = orthogonalized_by_op<double>(x, 4, 6);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 6; j++) {
            const double v = std::copysign(1, diagonal[i]) * y[i * 6 + j];
            EXPECT_NEAR(v, i == j ? 1 : 0, i == j ? 0.35 : 0);
        }
}

TEST(Muon, NothingComesOfNothing) {
    EXPECT_EQ(orthogonalized_by_op<double>(Matrix(12, 0.0), 3, 4), Matrix(12, 0.0));
    EXPECT_EQ(orthogonalized_by_op<float>(Matrix(0), 0, 4), std::vector<float>());
}

template <class T>
void momentum_as_written_out() {
    const size_t n = 40000;  // more than a thread's grain
    std::vector<T> u(n), b = cast<T>(noise(n, 1));
    const std::vector<T> g = cast<T>(noise(n, 2)), before = b;
    muon_momentum<Cpu<T>>({}, u.data(), b.data(), g.data(), int64_t(n), 0.9, 0.25);
    std::vector<double> new_b(n), new_u(n);
    for (size_t i = 0; i < n; i++) {
        new_b[i] = 0.9 * double(before[i]) + 0.25 * double(g[i]);
        new_u[i] = 0.25 * double(g[i]) + 0.9 * new_b[i];
    }
    EXPECT_LT(relative_error(b, new_b), tolerance<T>());
    EXPECT_LT(relative_error(u, new_u), tolerance<T>());
}
TEST(Muon, MomentumAsWrittenOut) {
    momentum_as_written_out<double>();
    momentum_as_written_out<float>();
}

// Of a matrix 7 columns wide, columns 2 to 4; back into it, and from there onto another.
TEST(Muon, UpdatesAndCopiesPartsOfRows) {
    const Matrix x = noise(5 * 7, 1), w = noise(5 * 3, 2);
    Matrix updated = w, whole(x.size(), -1.0);
    muon_update<Cpu<double>>({}, updated.data(), nullptr, dense(x, 7).columns(2), 5, 3, 0.1, 0.8, 0.5);
    copy_rows<Cpu<double>>({}, dense(whole, 7).columns(2), dense(w, 3), 5, 3, Into::overwrite);
    Matrix part(w.size(), 1.0);
    copy_rows<Cpu<double>>({}, dense(part, 3), dense(whole, 7).columns(2), 5, 3, Into::add);
    for (size_t i = 0; i < w.size(); i++) EXPECT_EQ(part[i], 1 + w[i]);
    for (size_t r = 0; r < 5; r++)
        for (size_t c = 0; c < 7; c++) {
            const bool inside = c >= 2 && c < 5;
            const size_t at = r * 3 + c - 2;
            EXPECT_EQ(whole[r * 7 + c], inside ? w[at] : -1);
            if (!inside) continue;
            EXPECT_NEAR(updated[at], w[at] - 0.1 * (0.8 * x[r * 7 + c] + 0.5 * w[at]), 1e-15);
        }
}

}  // namespace
}  // namespace sluice
