#include "kernels/cpu/gemm/algorithm.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/gemm/autotune.h"
#include "kernels/cpu/gemm/blis_gemm.h"

namespace sluice {
namespace {

constexpr int64_t kSlab = 2048;  // of k, in split-K
constexpr int kRuns = 3;         // that are timed of each algorithm, after one that prepares

// C = or += A[:, begin:end] B[begin:end, :].
void onednn_sgemm(float* c, const float* a, const float* b, const GemmShape& g, int64_t begin, int64_t end) {
    const float* a_slab = a + begin * (g.transpose_a ? g.m : 1);
    const float* b_slab = b + begin * (g.transpose_b ? 1 : g.n);
    const float beta = g.accumulate || begin > 0 ? 1 : 0;
    const auto status = dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, end - begin, 1.0f,
                                   a_slab, g.transpose_a ? g.m : g.k, b_slab, g.transpose_b ? g.k : g.n, beta, c, g.n);
    check(status == dnnl_success, "dnnl_sgemm");
}

}  // namespace

void Gemm::run(GemmAlgorithm algorithm, float* c, const float* a, const float* b) {
    switch (algorithm) {
        case GemmAlgorithm::onednn_matmul:
            if (!matmul_) matmul_.emplace(shape_, dnnl::memory::data_type::f32);
            return matmul_->run(c, a, b);
        case GemmAlgorithm::onednn_sgemm:
            return onednn_sgemm(c, a, b, shape_, 0, shape_.k);
        case GemmAlgorithm::onednn_split_k:
            for (int64_t begin = 0; begin < shape_.k; begin += kSlab)
                onednn_sgemm(c, a, b, shape_, begin, std::min(shape_.k, begin + kSlab));
            return;
        case GemmAlgorithm::blis:
            return blis_gemm(c, a, b, shape_, threads_);
    }
}

GemmAlgorithm Gemm::choose(const float* a, const float* b) {
    const auto time_all = [&] { return fastest(a, b); };
    return autotuned_algorithm(shape_, threads_, std::ref(time_all));  // a reference: nothing is allocated
}

bool Gemm::suits(GemmAlgorithm algorithm) const {
    if (algorithm == GemmAlgorithm::onednn_matmul) return !shape_.ragged;  // a primitive takes long to make
    if (algorithm == GemmAlgorithm::onednn_split_k) return shape_.k >= 2 * kSlab;
    return true;
}

GemmAlgorithm Gemm::fastest(const float* a, const float* b) {
    std::vector<float> c(size_t(shape_.m * shape_.n));
    const auto seconds = [&](GemmAlgorithm algorithm) {
        const auto start = std::chrono::steady_clock::now();
        run(algorithm, c.data(), a, b);
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    GemmAlgorithm best = untimed_algorithm(shape_);
    double least = 1e30;
    for (const auto& [word, algorithm] : EnumNames<GemmAlgorithm>::all) {
        if (!suits(algorithm)) continue;
        const bool hopeless = seconds(algorithm) > 3 * least;  // in the run that prepares
        for (int i = 0; i < kRuns && !hopeless; i++)
            if (const double took = seconds(algorithm); took < least) least = took, best = algorithm;
    }
    if (best != GemmAlgorithm::onednn_matmul) matmul_.reset();
    return best;
}

}  // namespace sluice
