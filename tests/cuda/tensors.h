// Tensors of real sizes in emulated device memory. They are zeros, and only those of their pages exist that something
// touches: with emu::Blocks::edges the first and the last blocks of a launch run over them, in little memory and time.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "base/check.h"
#include "kernels/emu/device_memory.h"
#include "kernels/emu/emu.h"
#include "kernels/memory.h"
#include "kernels/probes.h"

namespace sluice {

class Tensors {
 public:
    // While it is there, kernels run with these options, and as if the device had memory for all.
    explicit Tensors(emu::Options options) : before_(emu::options()) {
        options.device_bytes = size_t{1} << 40;
        emu::options() = options;
    }
    ~Tensors() {
        for (const Tensor& tensor : tensors_) memory().free(tensor.data);
        emu::options() = before_;
    }
    Tensors(const Tensors&) = delete;
    Tensors& operator=(const Tensors&) = delete;

    Stream stream() const { return stream_.get(); }
    void wait() const { memory().wait(stream()); }

    // `count` elements that an op reads, that it writes, or both.
    template <class X>
    const X* in(int64_t count) {
        return make<X>(count, count, true, false);
    }
    template <class X>
    X* out(int64_t count) {
        return make<X>(count, count, false, true);
    }
    template <class X>
    X* both(int64_t count) {
        return make<X>(count, count, true, true);
    }
    // The same of rows that stand `stride` elements apart.
    template <class X>
    Rows<const X> in_rows(int64_t rows, int64_t width, int64_t stride) {
        return {make<X>((rows - 1) * stride + width, rows * width, true, false), stride};
    }
    template <class X>
    Rows<X> out_rows(int64_t rows, int64_t width, int64_t stride) {
        return {make<X>((rows - 1) * stride + width, rows * width, false, true), stride};
    }
    template <class X>
    Rows<X> both_rows(int64_t rows, int64_t width, int64_t stride) {
        return {make<X>((rows - 1) * stride + width, rows * width, true, true), stride};
    }
    // What an op reads: these values; 0 .. count - 1; zeros but for the last.
    template <class X>
    const X* values(const std::vector<X>& v) {
        X* const to = make<X>(int64_t(v.size()), int64_t(v.size()), true, false);
        memory().to_device(stream(), to, v.data(), v.size() * sizeof(X));
        return to;
    }
    const int32_t* numbers(int64_t count) {
        std::vector<int32_t> v(size_t(count), 0);
        std::iota(v.begin(), v.end(), 0);
        return values(v);
    }
    template <class X>
    const X* ends_in(int64_t count, X last) {
        X* const to = make<X>(count, count, true, false);
        memory().to_device(stream(), to + count - 1, &last, sizeof last);
        return to;
    }

    // The least bytes that an op of these tensors moves.
    int64_t least() const { return least_; }

    // Of which tensors kernels have not read, or written, the first or the last 16 bytes; empty: of none. To be called
    // after a wait.
    std::string untouched() const {
        std::string all;
        for (size_t i = 0; i < tensors_.size(); i++) {
            const Tensor& t = tensors_[i];
            const emu::Allocation& allocation = *emu::DeviceMemory::get().find(t.data);
            const size_t marks = t.bytes / 2, end = std::min<size_t>(marks, 8);  // a mark stands for two bytes
            for (const size_t begin : {size_t{0}, marks - end}) {
                bool read = !t.read, written = !t.written;
                for (size_t mark = begin; mark < begin + end; mark++) {
                    read |= allocation.touched[mark].reader != 0;
                    written |= allocation.touched[mark].writer != 0;
                }
                if (read && written) continue;
                all += (all.empty() ? "" : "; ") + std::string(read ? "nothing writes" : "nothing reads") + " the " +
                       (begin == 0 ? "first" : "last") + " bytes of tensor " + std::to_string(i + 1) + " of " +
                       std::to_string(t.bytes) + " bytes";
            }
        }
        return all;
    }

 private:
    struct Tensor {
        void* data;
        size_t bytes;
        bool read, written;
    };
    static Memory& memory() { return memory_of<Cuda<float>>(); }  // of every backend of CUDA
    // `used` of the elements are an op's.
    template <class X>
    X* make(int64_t count, int64_t used, bool read, bool written) {
        const size_t bytes = size_t(count) * sizeof(X);
        void* const data = memory().allocate(bytes);
        check(data != nullptr, "no room for tensors of a test");
        tensors_.push_back({data, bytes, read, written});
        least_ += used * int64_t(sizeof(X)) * (read + written);
        return static_cast<X*>(data);
    }

    emu::Options before_;
    StreamOwner<Cuda<float>> stream_;
    std::vector<Tensor> tensors_;
    int64_t least_ = 0;
};

}  // namespace sluice
