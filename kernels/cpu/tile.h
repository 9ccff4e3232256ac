// Products of small tiles that fit the cache, for attention: rows of C are built in registers, 4 at a time, 32 columns
// wide, so that each load of B serves four rows.
#pragma once
#include <algorithm>
#include <cstdint>

namespace sluice {

// One strip: c (rows <= R, width <= W) += a (rows, k) b (k, width). Strides are row strides in elements.
template <int R, int W, class A>
inline void tile_strip(A* c, int64_t c_stride, const A* a, int64_t a_row, int64_t a_column, const A* b,
                       int64_t b_stride, int64_t k) {
    A sum[R][W];
    for (int r = 0; r < R; r++)
#pragma omp simd
        for (int j = 0; j < W; j++) sum[r][j] = c[r * c_stride + j];
    for (int64_t l = 0; l < k; l++)
        for (int r = 0; r < R; r++) {
            const A x = a[r * a_row + l * a_column];
#pragma omp simd
            for (int j = 0; j < W; j++) sum[r][j] += x * b[l * b_stride + j];
        }
    for (int r = 0; r < R; r++)
#pragma omp simd
        for (int j = 0; j < W; j++) c[r * c_stride + j] = sum[r][j];
}

// c (m, n) += a (m, k) b (k, n), a read at [i * a_row + l * a_column] so that it may be transposed.
template <class A>
void tile_product(A* c, int64_t c_stride, const A* a, int64_t a_row, int64_t a_column, const A* b, int64_t b_stride,
                  int64_t m, int64_t n, int64_t k) {
    constexpr int W = 32;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        int64_t j = 0;
        for (; j + W <= n; j += W)
            tile_strip<4, W>(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, k);
        for (; j + 8 <= n; j += 8)
            tile_strip<4, 8>(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, k);
        for (; j < n; j++)
            tile_strip<4, 1>(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, k);
    }
    for (; i < m; i++) {
        int64_t j = 0;
        for (; j + W <= n; j += W)
            tile_strip<1, W>(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, k);
        for (; j < n; j++)
            tile_strip<1, 1>(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, k);
    }
}

}  // namespace sluice
