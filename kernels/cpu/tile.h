// Products of small tiles that fit the cache, for attention: a strip of C is built in registers, kStripRows rows of two
// vectors, so that each load of B serves all rows and the sums hide the latency of multiply-add.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice {

#ifdef __AVX512F__
constexpr int kVectorBytes = 64, kStripRows = 8;  // of 32 registers
#else
constexpr int kVectorBytes = 32, kStripRows = 4;  // of 16
#endif

// c (Rows, Vectors * V) += a (Rows, k) b (k, Vectors * V), V the elements of a vector.
template <int Rows, int Vectors, class A>
inline void tile_strip(A* c, int64_t c_stride, const A* a, int64_t a_row, int64_t a_column, const A* b,
                       int64_t b_stride, int64_t k) {
    typedef A Vector __attribute__((vector_size(kVectorBytes)));
    constexpr int V = kVectorBytes / int(sizeof(A));
    Vector sum[Rows][Vectors], row[Vectors];
    for (int r = 0; r < Rows; r++)
        for (int j = 0; j < Vectors; j++) std::memcpy(&sum[r][j], c + r * c_stride + j * V, sizeof(Vector));
    for (int64_t l = 0; l < k; l++) {
        for (int j = 0; j < Vectors; j++) std::memcpy(&row[j], b + l * b_stride + j * V, sizeof(Vector));
        for (int r = 0; r < Rows; r++) {
            const A x = a[r * a_row + l * a_column];
            for (int j = 0; j < Vectors; j++) sum[r][j] += x * row[j];
        }
    }
    for (int r = 0; r < Rows; r++)
        for (int j = 0; j < Vectors; j++) std::memcpy(c + r * c_stride + j * V, &sum[r][j], sizeof(Vector));
}

template <int Rows, class A>
inline void tile_rows(A* c, int64_t c_stride, const A* a, int64_t a_row, int64_t a_column, const A* b, int64_t b_stride,
                      int64_t n, int64_t k) {
    constexpr int64_t V = kVectorBytes / int64_t(sizeof(A));
    int64_t j = 0;
    for (; j + 2 * V <= n; j += 2 * V) tile_strip<Rows, 2>(c + j, c_stride, a, a_row, a_column, b + j, b_stride, k);
    if (j + V <= n) {
        tile_strip<Rows, 1>(c + j, c_stride, a, a_row, a_column, b + j, b_stride, k);
        j += V;
    }
    for (int r = 0; r < Rows && j < n; r++)
        for (int64_t l = 0; l < k; l++) {
            const A x = a[r * a_row + l * a_column];
            for (int64_t i = j; i < n; i++) c[r * c_stride + i] += x * b[l * b_stride + i];
        }
}

// c (m, n) += a (m, k) b (k, n), a read at [i * a_row + l * a_column] so that it may be transposed.
template <class A>
void tile_product(A* c, int64_t c_stride, const A* a, int64_t a_row, int64_t a_column, const A* b, int64_t b_stride,
                  int64_t m, int64_t n, int64_t k) {
    int64_t i = 0;
    for (; i + kStripRows <= m; i += kStripRows)
        tile_rows<kStripRows>(c + i * c_stride, c_stride, a + i * a_row, a_row, a_column, b, b_stride, n, k);
    for (; i < m; i++) tile_rows<1>(c + i * c_stride, c_stride, a + i * a_row, a_row, a_column, b, b_stride, n, k);
}

}  // namespace sluice
