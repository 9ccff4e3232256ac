// Products of bf16 operands by oneDNN: both are rounded to bf16 first, which is a pass over memory, and their sums are
// kept in float.
#include <map>
#include <vector>

#include "base/machine.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/parallel.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

constexpr int64_t kRows = 64;  // ragged rows come in so many, and a rest

Matmul& matmul_of(const GemmShape& g) {
    thread_local std::map<GemmShape, Matmul> ready;
    auto it = ready.find(g);
    if (it == ready.end()) it = ready.try_emplace(g, g, dnnl::memory::data_type::bf16).first;
    return it->second;
}

// x (count) rounded, and zeros behind it up to `room`. Two operands may stand at a time.
const bf16* rounded(int operand, const float* x, int64_t count, int64_t room) {
    thread_local std::vector<bf16> memory[2];  // grown once
    auto& to = memory[operand];
    if (int64_t(to.size()) < room) to.resize(size_t(room));
    bf16* y = to.data();
    parallel_chunks(count, 1, [&](int64_t begin, int64_t end) {
#pragma omp simd
        for (int64_t i = begin; i < end; i++) y[i] = to_bf16(x[i]);
    });
    std::fill(y + count, y + room, bf16{0});
    return y;
}
const bf16* rounded(int operand, const float* x, int64_t count) { return rounded(operand, x, count, count); }

}  // namespace

void gemm_bf16(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    const bf16 *first = rounded(0, a, g.m * g.k), *second = rounded(1, b, g.k * g.n);
    matmul_of(g).run(c, first, second);
}

// Shapes are brought back to a few. One that is new makes a primitive, which allocates.
void ragged_gemm_bf16(float* c, const float* a, const float* b, const GemmShape& g) {
    GemmShape part = g;
    part.ragged = true;
    count_gemm(part);
    if (g.transpose_a) {  // a sum over the rows: zeros add nothing
        part.k = (g.k + kRows - 1) / kRows * kRows;
        const bf16 *first = rounded(0, a, g.k * g.m, part.k * g.m), *second = rounded(1, b, g.k * g.n, part.k * g.n);
        return matmul_of(part).run(c, first, second);
    }
    const bf16 *first = rounded(0, a, g.m * g.k), *second = rounded(1, b, g.k * g.n);
    part.m = g.m / kRows * kRows;
    if (part.m > 0) matmul_of(part).run(c, first, second);
    const int64_t done = part.m;
    part.m = g.m - done;
    if (part.m > 0) matmul_of(part).run(c + done * g.n, first + done * g.k, second);
}

void require_bf16_products() {
    const auto isa = dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core_bf16) != dnnl_cpu_isa_avx512_core_bf16)
        fail(Exit::config, "train.precision: bf16 on a CPU needs AVX512-BF16, and " +
                               std::string(multiplies_bf16(processor()) ? "DNNL_MAX_CPU_ISA keeps oneDNN from it"
                                                                        : "this one has none") +
                               ": use fp32");
}

double measure_gemm_bf16(const GemmShape& g, int times) {
    const std::vector<bf16> a(size_t(g.m * g.k), to_bf16(0.5f)), b(size_t(g.k * g.n), to_bf16(0.25f));
    std::vector<float> c(size_t(g.m * g.n));
    return least_seconds([&] { matmul_of(g).run(c.data(), a.data(), b.data()); }, times);
}

}  // namespace sluice
