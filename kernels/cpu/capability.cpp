#include "kernels/capability.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/machine.h"
#include "kernels/cpu/gemm/bf16.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/ops.h"

namespace sluice {
namespace {

// Of `times` runs, the first of which prepares unless it is the only one.
double least_seconds(const std::function<void()>& run, int times) {
    double least = 1e30;
    for (int i = 0; i < times; i++) {
        const double start = steady_seconds();
        run();
        const double seconds = steady_seconds() - start;
        if (i > 0 || times == 1) least = std::min(least, seconds);
    }
    return least;
}

// Operands are rounded before, where they are.
template <class B>
double gemm_seconds(const GemmShape& g, int times) {
    using T = typename B::T;
    std::vector<T> c(size_t(g.m * g.n));
    if constexpr (std::is_same_v<T, float>)
        if (g.precision == MatmulPrecision::bf16) {
            const std::vector<bf16> a(size_t(g.m * g.k), bf16(0.5f)), b(size_t(g.k * g.n), bf16(0.25f));
            return least_seconds([&] { rounded_bf16_gemm(c.data(), a.data(), b.data(), g); }, times);
        }
    const std::vector<T> a(size_t(g.m * g.k), T(0.5)), b(size_t(g.k * g.n), T(0.25));
    const auto multiply = g.ragged ? ragged_gemm<B> : gemm<B>;
    return least_seconds([&] { multiply(c.data(), a.data(), b.data(), g); }, times);
}

}  // namespace

template <class B>
void require_matmul(MatmulPrecision precision) {
    if (precision == MatmulPrecision::bf16) require_bf16_gemm();
}

template <class B>
std::string device_name() {
    return processor_name();
}

template <class B>
double gemm_rate(MatmulPrecision precision, int times) {
    const GemmShape shape = GemmShape::nt(1024, 1024, 1024).in(precision);
    return shape.flops() / gemm_seconds<B>(shape, times);
}

template <class B>
double gemm_rate(const Profile& profile) {
    double seconds = 0, flops = 0;
    for (const auto& [shape, calls] : profile.gemms) {
        seconds += double(calls) * gemm_seconds<B>(shape, 4);
        flops += double(calls) * shape.flops();
    }
    return flops / seconds;
}

template <class B>
double copy_rate() {
    using T = typename B::T;
    constexpr int64_t kWidth = 4096, kRows = (int64_t{1} << 28) / int64_t(sizeof(T)) / kWidth, kCount = kRows * kWidth;
    const std::vector<T> from(size_t(kCount), T(1));
    std::vector<T> to(size_t(kCount), T(0));
    const double seconds = least_seconds(
        [&] {
            copy_rows<B>({}, {to.data(), kWidth}, {from.data(), kWidth}, kRows, kWidth, Into::overwrite);
        },
        4);
    return 2.0 * sizeof(T) * double(kCount) / seconds;
}

template <class B>
double seconds_of(Stream, const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

#define INSTANTIATE(B)                                  \
    template void require_matmul<B>(MatmulPrecision);   \
    template std::string device_name<B>();              \
    template double gemm_rate<B>(MatmulPrecision, int); \
    template double gemm_rate<B>(const Profile&);       \
    template double copy_rate<B>();                     \
    template double seconds_of<B>(Stream, const std::function<void()>&);
SLUICE_CPU_BACKENDS(INSTANTIATE)

}  // namespace sluice
