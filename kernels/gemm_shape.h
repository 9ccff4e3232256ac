// The description of one matrix multiplication (GEMM), the same for every backend.
#pragma once
#include <compare>
#include <cstdint>

#include "kernels/backend.h"

namespace sluice {

// C (m, n) = A (m, k) B (k, n), or C += where `accumulate`. A is stored as (k, m), or B as (n, k), where transposed.
struct GemmShape {
    int64_t m, n, k;
    bool transpose_a = false, transpose_b = false;
    bool accumulate = false;
    MatmulPrecision precision = MatmulPrecision::full;
    bool ragged = false;  // rows (m, or k where A is transposed) differ from step to step
    auto operator<=>(const GemmShape&) const = default;

    // Which operands are transposed, as BLAS writes it: A first.
    static GemmShape nn(int64_t m, int64_t n, int64_t k) { return {m, n, k}; }
    static GemmShape nt(int64_t m, int64_t n, int64_t k) { return {m, n, k, false, true}; }
    static GemmShape tn(int64_t m, int64_t n, int64_t k) { return {m, n, k, true, false}; }
    GemmShape accumulating(bool on = true) const {
        GemmShape shape = *this;
        shape.accumulate = on;
        return shape;
    }
    GemmShape in(MatmulPrecision to) const {
        GemmShape shape = *this;
        shape.precision = to;
        return shape;
    }
    GemmShape with_ragged_rows() const {
        GemmShape shape = *this;
        shape.ragged = true;
        return shape;
    }
    double flops() const { return 2.0 * double(m) * double(n) * double(k); }
};

}  // namespace sluice
