// GEMM in float, by the algorithm that autotuning chose.
#include <omp.h>

#include <map>
#include <optional>

#include "kernels/autotune.h"
#include "kernels/cpu/gemm/algorithm.h"
#include "kernels/cpu/gemm/bf16.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

// A GEMM that comes again and again. Its algorithm is asked for at every call until one that may autotune has settled
// it: until then the choice may still come.
struct Prepared {
    Gemm gemm;
    std::optional<GemmAlgorithm> settled;
};

// This thread's, for the threads that it may use now.
Prepared& prepared(const GemmShape& shape) {
    thread_local std::map<std::pair<GemmShape, int>, Prepared> all;
    const std::pair key{shape, omp_get_max_threads()};
    auto it = all.find(key);
    if (it == all.end()) it = all.emplace(key, Prepared{Gemm(shape, key.second), {}}).first;
    return it->second;
}

GemmAlgorithm algorithm_of(Prepared& p, const float* a, const float* b) {
    if (p.settled) return *p.settled;
    const GemmAlgorithm algorithm = p.gemm.choose(a, b);
    if (AutotuneScope::active()) p.settled = algorithm;
    return algorithm;
}

}  // namespace

template <>
void gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& shape) {
    if (shape.precision == MatmulPrecision::bf16) return bf16_gemm(c, a, b, shape);
    count_gemm(shape);
    Prepared& p = prepared(shape);
    p.gemm.run(algorithm_of(p, a, b), c, a, b);
}

template <>
void ragged_gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& shape) {
    if (shape.precision == MatmulPrecision::bf16) return ragged_bf16_gemm(c, a, b, shape);
    const GemmShape ragged = shape.with_ragged_rows();
    count_gemm(ragged);
    Gemm gemm(ragged, omp_get_max_threads());
    gemm.run(gemm.choose(a, b), c, a, b);
}

}  // namespace sluice
