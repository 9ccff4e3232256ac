#include "kernels/cpu/gemm/bf16.h"

#include <map>
#include <vector>

#include "base/check.h"
#include "base/machine.h"
#include "kernels/cpu/gemm/onednn_matmul.h"
#include "kernels/cpu/parallel.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

constexpr int64_t kRows = 64;  // ragged rows are multiplied in a multiple of it, and a rest

// This thread's primitive for the shape.
OnednnMatmul& matmul_of(const GemmShape& shape) {
    thread_local std::map<GemmShape, OnednnMatmul> all;
    auto it = all.find(shape);
    if (it == all.end()) it = all.try_emplace(shape, shape, dnnl::memory::data_type::bf16).first;
    return it->second;
}

// x (count) rounded, and zeros behind it up to `capacity` elements. It is valid until the same operand (0 or 1) of this
// thread is rounded again.
const bf16* rounded(int operand, const float* x, int64_t count, int64_t capacity) {
    thread_local std::vector<bf16> memory[2];  // each grows to the largest operand
    auto& to = memory[operand];
    if (int64_t(to.size()) < capacity) to.resize(size_t(capacity));
    bf16* y = to.data();
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++) y[i] = bf16(x[i]);
    });
    std::fill(y + count, y + capacity, bf16(0));
    return y;
}
const bf16* rounded(int operand, const float* x, int64_t count) { return rounded(operand, x, count, count); }

}  // namespace

void require_bf16_gemm() {
    const auto isa = dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core_bf16) != dnnl_cpu_isa_avx512_core_bf16)
        fail(Exit::config, "bf16 on a CPU needs AVX512-BF16, and " +
                               std::string(multiplies_bf16(processor()) ? "DNNL_MAX_CPU_ISA keeps oneDNN from it"
                                                                        : "this one has none") +
                               ": use fp32");
}

void rounded_bf16_gemm(float* c, const bf16* a, const bf16* b, const GemmShape& shape) {
    matmul_of(shape).run(c, a, b);
}

void bf16_gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    const bf16 *a16 = rounded(0, a, g.m * g.k), *b16 = rounded(1, b, g.k * g.n);
    matmul_of(g).run(c, a16, b16);
}

// Numbers of rows are brought back to few, since each new one makes a primitive, which allocates.
void ragged_bf16_gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    GemmShape part = g.with_ragged_rows();
    count_gemm(part);
    if (g.transpose_a) {  // the sum is over the rows: rows of zeros add nothing
        part.k = (g.k + kRows - 1) / kRows * kRows;
        const bf16 *a16 = rounded(0, a, g.k * g.m, part.k * g.m), *b16 = rounded(1, b, g.k * g.n, part.k * g.n);
        return matmul_of(part).run(c, a16, b16);
    }
    const bf16 *a16 = rounded(0, a, g.m * g.k), *b16 = rounded(1, b, g.k * g.n);
    const int64_t most = g.m / kRows * kRows;  // rows in whole multiples
    part.m = most;
    if (part.m > 0) matmul_of(part).run(c, a16, b16);
    part.m = g.m - most;
    if (part.m > 0) matmul_of(part).run(c + most * g.n, a16 + most * g.k, b16);
}

}  // namespace sluice
