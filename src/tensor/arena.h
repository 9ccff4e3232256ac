// Memory. A set of activations lists its tensors once, acts(v, ...): v("name", pointer, {shape}). The same visitor
// first counts their bytes and then sets their pointers, so that what is planned is what is allocated. Nothing is
// allocated inside a step.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "kernels/memory.h"

namespace sluice {

// One allocation of a backend's memory, filled with zeros. Errors: Failure(Exit::out_of_memory), with `what`, its
// bytes, and how many there are.
class Arena {
 public:
    Arena() : data_(nullptr, Free{nullptr}) {}
    Arena(const char* what, size_t bytes, Memory& memory);
    std::byte* data() const { return data_.get(); }
    size_t bytes() const { return bytes_; }

 private:
    struct Free {
        Memory* memory;
        void operator()(std::byte* p) const { memory->free(p); }
    };
    std::unique_ptr<std::byte[], Free> data_;
    size_t bytes_ = 0;
};

// Sets pointers one after another from `base`, each aligned; with a null base it only counts bytes. rewind() goes back
// to an offset, so that tensors that do not live at the same time use the same bytes; peak() is the size of the region.
// Bytes are counted up to kMost, which stands for all above.
class Binder {
 public:
    static constexpr size_t kMost = size_t{1} << 60;
    explicit Binder(std::byte* base = nullptr) : base_(base) {}

    template <class T>
    void operator()(const char* /*name*/, T*& pointer, std::initializer_list<int64_t> shape) {
        size_t bytes = sizeof(T);
        for (int64_t extent : shape)
            if (__builtin_mul_overflow(bytes, static_cast<size_t>(extent), &bytes) || bytes > kMost) bytes = kMost;
        pointer = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
        used_ = std::min(kMost, used_ + (bytes + kAlignment - 1) / kAlignment * kAlignment);
        peak_ = std::max(peak_, used_);
    }

    size_t used() const { return used_; }
    size_t peak() const { return peak_; }
    void rewind(size_t used) { used_ = used; }

 private:
    std::byte* base_;
    size_t used_ = 0, peak_ = 0;
};

// Where the tensors of a layer are: `kept` from forward to backward; `recomputed` in memory that all layers use,
// computed again before the layer's backward; `scratch` within one call.
struct Regions {
    Binder kept, recomputed, scratch;
};

}  // namespace sluice
