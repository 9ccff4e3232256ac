// In float oneDNN and BLIS multiply; in double the loops below are the definition.
#include "kernels/cpu/gemm.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {

// ---------------------------------------------------------------- double: plain loops
void gemm(double* c, const double* a, const double* b, const GemmShape& g) {
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
void ragged_gemm(double* c, const double* a, const double* b, const GemmShape& g) { gemm(c, a, b, g); }

// ---------------------------------------------------------------- float: the ways
namespace {

constexpr int64_t kSlab = 2048;           // of k
constexpr double kWorthTiming = 1 << 24;  // FLOPs

// A oneDNN primitive, made once a shape and thread (ranks may be threads of one process) and used again.
class Matmul {
 public:
    explicit Matmul(const GemmShape& g) : Matmul(make(g)) {}

    void run(float* c, const float* a, const float* b) {
        a_.set_data_handle(const_cast<float*>(a));
        b_.set_data_handle(const_cast<float*>(b));
        c_.set_data_handle(c);
        // The C call: its C++ wrapper allocates.
        const dnnl_exec_arg_t arguments[] = {
            {DNNL_ARG_SRC, a_.get()}, {DNNL_ARG_WEIGHTS, b_.get()}, {DNNL_ARG_DST, c_.get()}};
        check(dnnl_primitive_execute(matmul_.get(), stream().get(), 3, arguments) == dnnl_success, "oneDNN's matmul");
    }

 private:
    using Memory = dnnl::memory;

    static dnnl::engine& engine() {
        thread_local dnnl::engine engine(dnnl::engine::kind::cpu, 0);
        return engine;
    }
    static dnnl::stream& stream() {
        thread_local dnnl::stream stream(engine());
        return stream;
    }
    static dnnl::matmul::primitive_desc make(const GemmShape& g) {
        const auto matrix = [](int64_t rows, int64_t columns, bool transposed) {
            return Memory::desc({rows, columns}, Memory::data_type::f32,
                                transposed ? Memory::dims{1, rows} : Memory::dims{columns, 1});
        };
        dnnl::primitive_attr attributes;
        if (g.add) {
            dnnl::post_ops sum;
            sum.append_sum(1.0f);
            attributes.set_post_ops(sum);
        }
        return {dnnl::matmul::desc(matrix(g.m, g.k, g.transpose_a), matrix(g.k, g.n, g.transpose_b),
                                   matrix(g.m, g.n, false)),
                attributes, engine()};
    }
    explicit Matmul(const dnnl::matmul::primitive_desc& desc)
        : matmul_(desc),
          a_(desc.src_desc(), engine(), nullptr),
          b_(desc.weights_desc(), engine(), nullptr),
          c_(desc.dst_desc(), engine(), nullptr) {}

    dnnl::matmul matmul_;
    Memory a_, b_, c_;
};

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
    Product(const GemmShape& shape, bool ragged, int threads) : shape_(shape), ragged_(ragged), threads_(threads) {}

    void run(GemmWay way, float* c, const float* a, const float* b) {
        switch (way) {
            case GemmWay::matmul:
                if (!matmul_) matmul_.emplace(shape_);
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

    // Of the ways that could be the fastest.
    GemmWay fastest() {
        std::vector<float> c(size_t(shape_.m * shape_.n)), a(size_t(shape_.m * shape_.k), 0.5f),
            b(size_t(shape_.k * shape_.n), 0.25f);
        const auto seconds = [&](GemmWay way) {
            const auto start = std::chrono::steady_clock::now();
            run(way, c.data(), a.data(), b.data());
            return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        };
        GemmWay best = usual();
        double least = 1e30;
        for (const auto& [word, way] : Words<GemmWay>::all) {
            if (way == GemmWay::matmul && ragged_) continue;
            if (way == GemmWay::slabs && shape_.k < 2 * kSlab) continue;
            if (seconds(way) > 3 * least) continue;  // made ready, and hopeless
            for (int i = 0; i < 3; i++)
                if (const double took = seconds(way); took < least) least = took, best = way;
        }
        if (best != GemmWay::matmul) matmul_.reset();
        return best;
    }

    // Where nothing is timed.
    GemmWay usual() const { return ragged_ ? GemmWay::sgemm : GemmWay::matmul; }

    GemmWay choose() {
        if (shape_.flops() < kWorthTiming) return usual();
        GemmShape shape = shape_;
        if (ragged_) (shape_.transpose_a ? shape.k : shape.m) = int64_t(std::bit_ceil(uint64_t(rows())));
        return choose_gemm_way({shape, ragged_, threads_, usual()}, [this] { return fastest(); });
    }

 private:
    int64_t rows() const { return shape_.transpose_a ? shape_.k : shape_.m; }

    GemmShape shape_;
    bool ragged_;
    int threads_;
    std::optional<Matmul> matmul_;
};

}  // namespace

void gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    struct Chosen {
        Product product;
        GemmWay way;
        bool tuned;  // or not allowed to be, then
    };
    thread_local std::map<std::pair<GemmShape, int>, Chosen> ready;
    const std::pair key{g, omp_get_max_threads()};
    auto it = ready.find(key);
    if (it == ready.end()) it = ready.emplace(key, Chosen{{g, false, key.second}, GemmWay::matmul, false}).first;
    Chosen& chosen = it->second;
    if (!chosen.tuned) {
        chosen.way = chosen.product.choose();
        chosen.tuned = GemmTuning::wanted();
    }
    chosen.product.run(chosen.way, c, a, b);
}

void ragged_gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    Product product(g, true, omp_get_max_threads());
    product.run(product.choose(), c, a, b);
}

// ---------------------------------------------------------------- rates
double measure_gemm(const GemmShape& g) {
    const std::vector<float> a(size_t(g.m * g.k), 0.5f), b(size_t(g.k * g.n), 0.25f);
    std::vector<float> c(size_t(g.m * g.n));
    double best = 1e30;
    for (int i = 0; i < 4; i++) {  // the first prepares
        const auto start = std::chrono::steady_clock::now();
        gemm(c.data(), a.data(), b.data(), g);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (i > 0) best = std::min(best, took.count());
    }
    return best;
}

double measure_copy_rate() {
    constexpr int64_t kCount = int64_t{1} << 26;
    std::vector<float> from(size_t(kCount), 1.0f), to(size_t(kCount), 0.0f);
    double best = 1e30;
    for (int i = 0; i < 4; i++) {
        const auto start = std::chrono::steady_clock::now();
        copy<Cpu<float>>({}, to.data(), from.data(), kCount);
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return 2.0 * sizeof(float) * double(kCount) / best;
}

double measure_gemm_rate() {
    const GemmShape shape{1024, 1024, 1024, false, true, false};
    return shape.flops() / measure_gemm(shape);
}

}  // namespace sluice
