// Products of small matrices that stay in a core's cache, for attention: c = or += a b. A strip is as many rows of c as
// the registers allow; within it, two vectors of columns at a time are summed up in registers:
//
//                  2 vectors of columns
//               +------+------+
//     kStripRows|  sum[r][j]  |   += a[r, l] b[l, columns], for l over the depth
//               +------+------+
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/ops.h"

namespace sluice {

#ifdef __AVX512F__
constexpr int kVectorBytes = 64, kStripRows = 8;  // 8 x 2 sums of 32 registers
#else
constexpr int kVectorBytes = 32, kStripRows = 6;  // 6 x 2 sums of 16 registers
#endif
template <class A>
constexpr int64_t kVector = kVectorBytes / int64_t(sizeof(A));  // elements

// What is wanted of a strip: the columns from `columns` to before `columns_end` of its result, as sums over the depth
// from `depth` to before `depth_end`. Columns before the first one may be written too, down to a whole vector.
struct StripRange {
    int64_t columns, columns_end, depth, depth_end;
};

// The two factors: a (m, depth) is read at a[i * a_row + l * a_column], so it may be stored transposed; b (depth, n) at
// b[l * b_row + j].
template <class A>
struct Factors {
    const A* a;
    int64_t a_row, a_column;
    const A* b;
    int64_t b_row;
};

// c (Rows, Vectors * kVector), whose rows are c_row apart, = or += a (Rows, depth) b (depth, Vectors * kVector).
template <int Rows, int Vectors, Into into, class A>
[[gnu::always_inline]] inline void tile_strip(A* c, int64_t c_row, const Factors<A>& f, int64_t depth,
                                              int64_t depth_end) {
    typedef A Vector __attribute__((vector_size(kVectorBytes)));
    constexpr int64_t V = kVector<A>;
    Vector sum[Rows][Vectors], row[Vectors];
    for (int r = 0; r < Rows; r++)
        for (int j = 0; j < Vectors; j++)
            if constexpr (into == Into::add)
                std::memcpy(&sum[r][j], c + r * c_row + j * V, sizeof(Vector));
            else
                sum[r][j] = Vector{};
    const A *a = f.a + depth * f.a_column, *b = f.b + depth * f.b_row;
    for (int64_t l = depth; l < depth_end; l++, a += f.a_column, b += f.b_row) {
        for (int j = 0; j < Vectors; j++) std::memcpy(&row[j], b + j * V, sizeof(Vector));
        for (int r = 0; r < Rows; r++) {
            const A x = a[r * f.a_row];
            for (int j = 0; j < Vectors; j++) sum[r][j] += x * row[j];
        }
    }
    for (int r = 0; r < Rows; r++)
        for (int j = 0; j < Vectors; j++) std::memcpy(c + r * c_row + j * V, &sum[r][j], sizeof(Vector));
}

// One strip of Rows rows: its columns in pairs of vectors, then one vector, then the rest one by one.
template <int Rows, Into into, class A>
[[gnu::always_inline]] inline void tile_rows(A* c, int64_t c_row, Factors<A> f, const StripRange& range) {
    constexpr int64_t V = kVector<A>;
    const auto from = [&](int64_t j) { return Factors<A>{f.a, f.a_row, f.a_column, f.b + j, f.b_row}; };
    int64_t j = range.columns / V * V;
    for (; j + 2 * V <= range.columns_end; j += 2 * V)
        tile_strip<Rows, 2, into>(c + j, c_row, from(j), range.depth, range.depth_end);
    if (j + V <= range.columns_end) {
        tile_strip<Rows, 1, into>(c + j, c_row, from(j), range.depth, range.depth_end);
        j += V;
    }
    for (; j < range.columns_end; j++)
        for (int r = 0; r < Rows; r++) {
            A sum = into == Into::add ? c[r * c_row + j] : A(0);
            for (int64_t l = range.depth; l < range.depth_end; l++)
                sum += f.a[r * f.a_row + l * f.a_column] * f.b[l * f.b_row + j];
            c[r * c_row + j] = sum;
        }
}

// The last strip, of `rows` <= Rows rows: looks for the instance of just that height.
template <int Rows, Into into, class A>
inline void tile_rest(A* c, int64_t c_row, const Factors<A>& f, const StripRange& range, int64_t rows) {
    if constexpr (Rows > 0) {
        if (rows == Rows) return tile_rows<Rows, into>(c, c_row, f, range);
        tile_rest<Rows - 1, into>(c, c_row, f, range, rows);
    }
}

// c (m, n) = or += a b, where range(i, rows) says what is wanted of the strip of rows i .. i + rows - 1.
template <Into into, class A, class Range>
void tile_product(A* c, int64_t c_row, Factors<A> f, int64_t m, Range range) {
    int64_t i = 0;
    for (; i + kStripRows <= m; i += kStripRows, f.a += kStripRows * f.a_row)
        tile_rows<kStripRows, into>(c + i * c_row, c_row, f, range(i, int64_t(kStripRows)));
    if (i < m) tile_rest<kStripRows - 1, into>(c + i * c_row, c_row, f, range(i, m - i), m - i);
}

// out (columns, rows) = scale x^T, x (rows, columns); rows of out are out_row apart, those of x are x_row. Blocks of
// 4 x 4 are transposed in registers: pairs of rows are interleaved, then pairs of pairs.
template <class A>
void tile_transpose(A* out, int64_t out_row, const A* x, int64_t x_row, int64_t rows, int64_t columns, A scale) {
    typedef A Four __attribute__((vector_size(4 * sizeof(A))));
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t k = 0;
        for (; k + 4 <= columns; k += 4) {
            Four in[4];
            for (int i = 0; i < 4; i++) {
                std::memcpy(&in[i], x + (r + i) * x_row + k, sizeof(Four));
                in[i] *= scale;
            }
            const Four a = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
            const Four b = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
            const Four c = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
            const Four d = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
            const Four turned[4] = {
                __builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
            for (int i = 0; i < 4; i++) std::memcpy(out + (k + i) * out_row + r, &turned[i], sizeof(Four));
        }
        for (; k < columns; k++)
            for (int i = 0; i < 4; i++) out[k * out_row + r + i] = x[(r + i) * x_row + k] * scale;
    }
    for (; r < rows; r++)
        for (int64_t k = 0; k < columns; k++) out[k * out_row + r] = x[r * x_row + k] * scale;
}

}  // namespace sluice
