// Rates of a device, measured by its ops.
#include "kernels/capability.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/prim/timer.h"
#include "kernels/memory.h"
#include "kernels/ops.h"

namespace sluice {
namespace {

// Rows and columns of the square matrices that are multiplied, and bytes that are copied: large on a GPU. What trains
// may have left little of its memory: they are halved until there is room, down to what Memory::beside() counts.
constexpr int64_t kSize = kEmulated ? 32 : 8192, kLeastSize = kEmulated ? 32 : 1024;
constexpr size_t kCopied = size_t{1} << (kEmulated ? 16 : 30), kLeastCopied = size_t{1} << (kEmulated ? 16 : 22);

template <class X>
class Array {
 public:
    Array(Memory& memory, int64_t count)
        : memory_(memory), data_(static_cast<X*>(memory.allocate(size_t(count) * sizeof(X)))) {
        if (!data_) fail_out_of_memory(size_t(count) * sizeof(X), "a measurement", memory);
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
template <class B, class F>
double least_seconds(Stream stream, int times, F run) {
    double least = 0;
    for (int i = 0; i <= times; i++) {
        const double seconds = seconds_of<B>(stream, run);
        if (i > 0) least = i == 1 ? seconds : std::min(least, seconds);
    }
    return least;
}

}  // namespace

template <class B>
void require_matmul(MatmulPrecision) {}

template <class B>
std::string device_name() {
    cudaDeviceProp properties{};
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || cudaGetDeviceProperties(&properties, device) != cudaSuccess)
        return "a GPU";
    return properties.name;
}

template <class B>
double gemm_rate(MatmulPrecision, int times) {
    using T = typename B::T;
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    int64_t size = kSize;
    while (size > kLeastSize && memory.room(1).free / 4 < size_t(size * size) * sizeof(T)) size /= 2;
    const Array<T> y(memory, size * size), x(memory, size * size), w(memory, size * size);
    const double seconds = least_seconds<B>(stream.get(), std::max(1, times), [&] {
        linear_forward<B>(stream.get(), y.data(), x.data(), w.data(), size, size, size);
    });
    return 2.0 * double(size) * double(size) * double(size) / seconds;
}

template <class B>
double gemm_rate(const Profile& profile) {
    double flops = 0, seconds = 0;
    for (const auto& [key, time] : profile.ops) {
        if (key.second[2] == 0) continue;  // not a product: these have m, n and k
        flops += time.work.flops;
        seconds += time.seconds;
    }
    return seconds > 0 ? flops / seconds : gemm_rate<B>(MatmulPrecision::full, 1);
}

template <class B>
double seconds_of(Stream stream, const std::function<void()>& work) {
    return 1e-3 * double(Timer(handle_of(stream)).milliseconds(work));
}

template <class B>
double copy_rate() {
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    size_t bytes = kCopied;
    while (bytes > kLeastCopied && memory.room(1).free / 3 < bytes) bytes /= 2;
    const Array<char> from(memory, int64_t(bytes)), to(memory, int64_t(bytes));
    const double seconds =
        least_seconds<B>(stream.get(), 4, [&] { memory.copy(stream.get(), to.data(), from.data(), bytes); });
    return 2.0 * double(bytes) / seconds;
}

#define INSTANTIATE(B)                                  \
    template void require_matmul<B>(MatmulPrecision);   \
    template std::string device_name<B>();              \
    template double gemm_rate<B>(MatmulPrecision, int); \
    template double gemm_rate<B>(const Profile&);       \
    template double copy_rate<B>();                     \
    template double seconds_of<B>(Stream, const std::function<void()>&);
SLUICE_CUDA_BACKENDS(INSTANTIATE)

}  // namespace sluice
