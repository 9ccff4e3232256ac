// GEMM in double: these loops are the definition that the others are tested against.
#include <algorithm>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/parallel.h"

namespace sluice {

template <>
void gemm<Cpu<double>>(double* c, const double* a, const double* b, const GemmShape& g) {
    parallel_chunks(g.m, g.n * g.k, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            double* row = c + i * g.n;
            if (!g.accumulate) std::fill(row, row + g.n, 0.0);
            for (int64_t j = 0; j < g.n && g.transpose_b; j++) {
                double sum = 0;
                for (int64_t l = 0; l < g.k; l++) sum += a[g.transpose_a ? l * g.m + i : i * g.k + l] * b[j * g.k + l];
                row[j] += sum;
            }
            for (int64_t l = 0; l < g.k && !g.transpose_b; l++) {
                const double x = a[g.transpose_a ? l * g.m + i : i * g.k + l];
#pragma omp simd
                for (int64_t j = 0; j < g.n; j++) row[j] += x * b[l * g.n + j];
            }
        }
    });
}
template <>
void ragged_gemm<Cpu<double>>(double* c, const double* a, const double* b, const GemmShape& g) {
    gemm<Cpu<double>>(c, a, b, g);
}

}  // namespace sluice
