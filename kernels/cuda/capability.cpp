// Rates of a device, measured by its ops.
#include "kernels/capability.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/prim/runtime.h"
#include "kernels/memory.h"
#include "kernels/ops.h"

namespace sluice {
namespace {

// Rows and columns of the square matrices that are multiplied, and bytes that are copied: large on a GPU.
constexpr int64_t kSize = kEmulated ? 32 : 8192;
constexpr size_t kCopied = size_t{1} << (kEmulated ? 16 : 30);

template <class X>
class Array {
 public:
    Array(Memory& memory, int64_t count)
        : memory_(memory), data_(static_cast<X*>(memory.allocate(size_t(count) * sizeof(X)))) {
        if (!data_) fail(Exit::out_of_memory, "out of memory: a measurement");
    }
    ~Array() { memory_.free(data_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    X* data() const { return data_; }

 private:
    Memory& memory_;
    X* data_;
};

// Seconds of the fastest of `times` runs, after one that does not count.
template <class F>
double least_seconds(Memory& memory, Stream stream, int times, F run) {
    double least = 0;
    for (int i = 0; i <= times; i++) {
        memory.wait(stream);
        const auto start = std::chrono::steady_clock::now();
        run();
        memory.wait(stream);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (i > 0) least = i == 1 ? seconds : std::min(least, seconds);
    }
    return least;
}

}  // namespace

template <class B>
void require_matmul(MatmulPrecision) {}

template <class B>
double gemm_rate(MatmulPrecision, int times) {
    using T = typename B::T;
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    const Array<T> y(memory, kSize * kSize), x(memory, kSize * kSize), w(memory, kSize * kSize);
    const double seconds = least_seconds(memory, stream.get(), std::max(1, times), [&] {
        linear_forward<B>(stream.get(), y.data(), x.data(), w.data(), kSize, kSize, kSize);
    });
    return 2.0 * double(kSize) * double(kSize) * double(kSize) / seconds;
}

template <class B>
double gemm_rate(const Profile&) {
    return gemm_rate<B>(MatmulPrecision::full, 1);
}

template <class B>
double copy_rate() {
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    const Array<char> from(memory, int64_t(kCopied)), to(memory, int64_t(kCopied));
    const double seconds =
        least_seconds(memory, stream.get(), 4, [&] { memory.copy(stream.get(), to.data(), from.data(), kCopied); });
    return 2.0 * double(kCopied) / seconds;
}

#define INSTANTIATE(B)                                  \
    template void require_matmul<B>(MatmulPrecision);   \
    template double gemm_rate<B>(MatmulPrecision, int); \
    template double gemm_rate<B>(const Profile&);       \
    template double copy_rate<B>();
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
