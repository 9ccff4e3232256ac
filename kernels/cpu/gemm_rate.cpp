#include "kernels/gemm_rate.h"

#include <chrono>
#include <vector>

#include "kernels/ops.h"

namespace sluice {

double measure_gemm_rate() {
    constexpr int64_t kSize = 1024;
    std::vector<float> x(kSize * kSize, 0.5f), w(x), y(x);
    double best = 0;
    for (int i = 0; i < 6; i++) {  // the first prepares
        const auto start = std::chrono::steady_clock::now();
        linear_forward<Cpu<float>>({}, y.data(), x.data(), w.data(), kSize, kSize, kSize);
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        if (i > 0) best = std::max(best, 2.0 * kSize * kSize * kSize / seconds.count());
    }
    return best;
}

}  // namespace sluice
