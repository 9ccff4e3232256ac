// In float oneDNN and BLIS multiply; in double the loops below are the definition.
#include "kernels/cpu/gemm.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "kernels/cpu/matmul.h"
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

// ---------------------------------------------------------------- double: plain loops
template <>
void gemm<Cpu<double>>(double* c, const double* a, const double* b, const GemmShape& g) {
    parallel_chunks(g.m, g.n * g.k, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            double* row = c + i * g.n;
            if (!g.add) std::fill(row, row + g.n, 0.0);
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

// ---------------------------------------------------------------- float: the ways
namespace {

constexpr int64_t kSlab = 2048;           // of k
constexpr double kWorthTiming = 1 << 26;  // FLOPs: half a millisecond on two AVX2 cores

void onednn_sgemm(float* c, const float* a, const float* b, const GemmShape& g, int64_t begin, int64_t end) {
    const float* a_slab = a + begin * (g.transpose_a ? g.m : 1);
    const float* b_slab = b + begin * (g.transpose_b ? 1 : g.n);
    const float beta = g.add || begin > 0 ? 1 : 0;
    const auto status = dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, end - begin, 1.0f,
                                   a_slab, g.transpose_a ? g.m : g.k, b_slab, g.transpose_b ? g.k : g.n, beta, c, g.n);
    check(status == dnnl_success, "dnnl_sgemm");
}

// One shape, ready to be multiplied in any way.
class Product {
 public:
    Product(const GemmShape& shape, int threads) : shape_(shape), threads_(threads) {}

    void run(GemmWay way, float* c, const float* a, const float* b) {
        switch (way) {
            case GemmWay::matmul:
                if (!matmul_) matmul_.emplace(shape_, dnnl::memory::data_type::f32);
                return matmul_->run(c, a, b);
            case GemmWay::sgemm:
                return onednn_sgemm(c, a, b, shape_, 0, shape_.k);
            case GemmWay::slabs:
                for (int64_t l = 0; l < shape_.k; l += kSlab)
                    onednn_sgemm(c, a, b, shape_, l, std::min(shape_.k, l + kSlab));
                return;
            case GemmWay::blis:
                return blis_gemm(c, a, b, shape_, threads_);
        }
    }

    // The way that was chosen or is chosen now, by timing on these operands.
    GemmWay choose(const float* a, const float* b) {
        GemmShape shape = shape_;
        if (shape_.ragged) rows_of(shape) = int64_t(std::bit_ceil(uint64_t(rows_of(shape))));
        if (shape_.flops() < kWorthTiming) return choose_gemm_way({shape, threads_, usual()}, {});
        const auto time_all = [&] { return fastest(a, b); };
        return choose_gemm_way({shape, threads_, usual()}, std::ref(time_all));  // which allocates nothing
    }

 private:
    // Where nothing is timed.
    GemmWay usual() const { return shape_.ragged ? GemmWay::sgemm : GemmWay::matmul; }
    static int64_t& rows_of(GemmShape& shape) { return shape.transpose_a ? shape.k : shape.m; }

    GemmWay fastest(const float* a, const float* b) {
        std::vector<float> c(size_t(shape_.m * shape_.n));
        const auto seconds = [&](GemmWay way) {
            const auto start = std::chrono::steady_clock::now();
            run(way, c.data(), a, b);
            return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        };
        GemmWay best = usual();
        double least = 1e30;
        for (const auto& [word, way] : Words<GemmWay>::all) {
            if (way == GemmWay::matmul && shape_.ragged) continue;
            if (way == GemmWay::slabs && shape_.k < 2 * kSlab) continue;
            if (seconds(way) > 3 * least) continue;  // made ready, and hopeless
            for (int i = 0; i < 3; i++)
                if (const double took = seconds(way); took < least) least = took, best = way;
        }
        if (best != GemmWay::matmul) matmul_.reset();
        return best;
    }

    GemmShape shape_;
    int threads_;
    std::optional<Matmul> matmul_;
};

}  // namespace

template <>
void gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& g) {
    if (g.bf16) return gemm_bf16(c, a, b, g);
    count_gemm(g);
    struct Chosen {
        Product product;
        GemmWay way;
        bool tuned;  // or not allowed to be, then
    };
    thread_local std::map<std::pair<GemmShape, int>, Chosen> ready;
    const std::pair key{g, omp_get_max_threads()};
    auto it = ready.find(key);
    if (it == ready.end()) it = ready.emplace(key, Chosen{{g, key.second}, GemmWay::matmul, false}).first;
    Chosen& chosen = it->second;
    if (!chosen.tuned) {
        chosen.way = chosen.product.choose(a, b);
        chosen.tuned = GemmTuning::wanted();
    }
    chosen.product.run(chosen.way, c, a, b);
}

template <>
void ragged_gemm<Cpu<float>>(float* c, const float* a, const float* b, const GemmShape& g) {
    if (g.bf16) return ragged_gemm_bf16(c, a, b, g);
    GemmShape shape = g;
    shape.ragged = true;
    count_gemm(shape);
    Product product(shape, omp_get_max_threads());
    product.run(product.choose(a, b), c, a, b);
}

// ---------------------------------------------------------------- rates
double least_seconds(const std::function<void()>& run, int times) {
    double least = 1e30;
    for (int i = 0; i < times; i++) {
        const auto start = std::chrono::steady_clock::now();
        run();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (i > 0 || times == 1) least = std::min(least, took.count());
    }
    return least;
}

double measure_gemm(const GemmShape& g, int times) {
    if (g.bf16) return measure_gemm_bf16(g, times);
    const std::vector<float> a(size_t(g.m * g.k), 0.5f), b(size_t(g.k * g.n), 0.25f);
    std::vector<float> c(size_t(g.m * g.n));
    const auto multiply = g.ragged ? ragged_gemm<Cpu<float>> : gemm<Cpu<float>>;
    return least_seconds([&] { multiply(c.data(), a.data(), b.data(), g); }, times);
}

double measure_copy_rate() {
    constexpr int64_t kCount = int64_t{1} << 26;
    const std::vector<float> from(size_t(kCount), 1.0f);
    std::vector<float> to(size_t(kCount), 0.0f);
    const double seconds = least_seconds([&] { copy<Cpu<float>>({}, to.data(), from.data(), kCount); }, 4);
    return 2.0 * sizeof(float) * double(kCount) / seconds;
}

double measure_gemm_rate(bool bf16, int times) {
    const GemmShape shape{1024, 1024, 1024, false, true, false, bf16};
    return shape.flops() / measure_gemm(shape, times);
}

}  // namespace sluice
