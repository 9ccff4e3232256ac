// Linear maps. In float oneDNN multiplies (the fastest of the libraries measured); in double the loops below are the
// definition.
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/ops.h"
#include "kernels/profile.h"

namespace sluice {
namespace {

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

// ---------------------------------------------------------------- float: oneDNN
// A matmul is made once a shape and thread (ranks may be threads of one process) and used again.
dnnl::matmul make_matmul(const dnnl::engine& engine, const GemmShape& g) {
    using Memory = dnnl::memory;
    const auto type = Memory::data_type::f32;
    const auto strides = [](int64_t rows, int64_t columns, bool transposed) {
        return transposed ? Memory::dims{1, rows} : Memory::dims{columns, 1};
    };
    const Memory::desc a({g.m, g.k}, type, strides(g.m, g.k, g.transpose_a));
    const Memory::desc b({g.k, g.n}, type, strides(g.k, g.n, g.transpose_b));
    const Memory::desc c({g.m, g.n}, type, strides(g.m, g.n, false));
    dnnl::primitive_attr attributes;
    if (g.add) {
        dnnl::post_ops sum;
        sum.append_sum(1.0f);
        attributes.set_post_ops(sum);
    }
    return dnnl::matmul(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, engine));
}

struct Prepared {
    dnnl::matmul matmul;
    dnnl::memory a, b, c;
};

void gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    thread_local dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    thread_local dnnl::stream stream(engine);
    thread_local std::map<GemmShape, Prepared> prepared;
    auto it = prepared.find(g);
    if (it == prepared.end()) {
        const dnnl::matmul made = make_matmul(engine, g);
        const auto memory = [&](const_dnnl_primitive_desc_t desc, dnnl_query_t which) {
            return dnnl::memory(dnnl::memory::desc(*dnnl_primitive_desc_query_md(desc, which, 0)), engine, nullptr);
        };
        const auto desc = made.get_primitive_desc();
        it = prepared
                 .emplace(g, Prepared{made, memory(desc, dnnl_query_src_md), memory(desc, dnnl_query_weights_md),
                                      memory(desc, dnnl_query_dst_md)})
                 .first;
    }
    Prepared& p = it->second;
    p.a.set_data_handle(const_cast<float*>(a));
    p.b.set_data_handle(const_cast<float*>(b));
    p.c.set_data_handle(c);
    // The C call: its C++ wrapper allocates.
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, p.a.get()}, {DNNL_ARG_WEIGHTS, p.b.get()}, {DNNL_ARG_DST, p.c.get()}};
    check(dnnl_primitive_execute(p.matmul.get(), stream.get(), 3, arguments) == dnnl_success, "oneDNN's matmul");
}

// Ragged products have another shape every time: no primitive is made for them.
void ragged_gemm(double* c, const double* a, const double* b, const GemmShape& g) { gemm(c, a, b, g); }
void ragged_gemm(float* c, const float* a, const float* b, const GemmShape& g) {
    count_gemm(g);
    const float beta = g.add ? 1 : 0;
    const auto status = dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, g.k, 1.0f, a,
                                   g.transpose_a ? g.m : g.k, b, g.transpose_b ? g.k : g.n, beta, c, g.n);
    check(status == dnnl_success, "dnnl_sgemm");
}

}  // namespace

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

// ---------------------------------------------------------------- ops
template <class B>
void linear_forward(Stream, typename B::T* y, const typename B::T* x, const typename B::T* w, int64_t rows, int64_t in,
                    int64_t out) {
    const Timed timed(__func__);
    if (rows > 0 && out > 0) gemm(y, x, w, {rows, out, in, false, true, false});
}

template <class B>
void linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w, int64_t rows,
                           int64_t in, int64_t out, Into into) {
    const Timed timed(__func__);
    if (out == 0 && into == Into::overwrite) std::fill(dx, dx + rows * in, typename B::T(0));
    if (rows > 0 && out > 0) gemm(dx, dy, w, {rows, in, out, false, false, into == Into::add});
}

template <class B>
void linear_backward_weight(Stream, typename B::T* dw, const typename B::T* dy, const typename B::T* x, int64_t rows,
                            int64_t in, int64_t out) {
    const Timed timed(__func__);
    if (rows > 0 && out > 0) gemm(dw, dy, x, {out, in, rows, true, false, true});
}

template <class B>
void grouped_linear_forward(Stream, typename B::T* y, const typename B::T* x, const typename B::T* w,
                            const GroupedShape& n) {
    const Timed timed(__func__);
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm(y + at * n.out, x + at * n.in, w + e * n.out * n.in, {rows, n.out, n.in, false, true, false});
    }
}

template <class B>
void grouped_linear_backward_input(Stream, typename B::T* dx, const typename B::T* dy, const typename B::T* w,
                                   const GroupedShape& n, Into into) {
    const Timed timed(__func__);
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm(dx + at * n.in, dy + at * n.out, w + e * n.out * n.in,
                        {rows, n.in, n.out, false, false, into == Into::add});
    }
}

template <class B>
void grouped_linear_backward_weight(Stream, typename B::T* dw, const typename B::T* dy, const typename B::T* x,
                                    const GroupedShape& n) {
    const Timed timed(__func__);
    for (int64_t e = 0; e < n.experts; e++) {
        const int64_t at = n.offsets[e], rows = n.offsets[e + 1] - at;
        if (rows > 0)
            ragged_gemm(dw + e * n.out * n.in, dy + at * n.out, x + at * n.in, {n.out, n.in, rows, true, false, true});
    }
}

template <class B>
void bias_forward(Stream, typename B::T* y, const typename B::T* bias, int64_t rows, int64_t width) {
    const Timed timed(__func__);
    parallel_chunks(rows, width, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
#pragma omp simd
            for (int64_t i = 0; i < width; i++) y[r * width + i] += bias[i];
    });
}

template <class B>
void bias_backward(Stream, typename B::T* db, const typename B::T* dy, int64_t rows, int64_t width) {
    const Timed timed(__func__);
    using A = typename B::A;
    sum_rows<typename B::T, A>(db, rows, width, [&](int64_t r, A* partial) {
#pragma omp simd
        for (int64_t i = 0; i < width; i++) partial[i] += A(dy[r * width + i]);
    });
}

#define INSTANTIATE(B)                                                                                                \
    template void linear_forward<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t);              \
    template void linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t, Into); \
    template void grouped_linear_forward<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&);            \
    template void grouped_linear_backward_input<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&,      \
                                                   Into);                                                             \
    template void grouped_linear_backward_weight<B>(Stream, B::T*, const B::T*, const B::T*, const GroupedShape&);    \
    template void linear_backward_weight<B>(Stream, B::T*, const B::T*, const B::T*, int64_t, int64_t, int64_t);      \
    template void bias_forward<B>(Stream, B::T*, const B::T*, int64_t, int64_t);                                      \
    template void bias_backward<B>(Stream, B::T*, const B::T*, int64_t, int64_t);
INSTANTIATE(Cpu<float>)
INSTANTIATE(Cpu<double>)

}  // namespace sluice
