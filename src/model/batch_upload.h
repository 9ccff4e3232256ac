// How batches reach the backend's memory. A device gets them on a stream of their own, in buffers that take turns:
// while it computes one batch, the host reads the next ones, and their copies do not wait for it. Each then goes to
// where ops read it, in their order. A CPU gets them there at once.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/memory.h"

namespace sluice {

// order: the positions of `count` tokens, by their ids and, of equal ones, in their order (see embedding_backward).
inline void order_by_token(std::vector<int32_t>& order, const int32_t* tokens, int64_t count) {
    order.resize(size_t(count));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {  // stable_sort would allocate
        return tokens[a] != tokens[b] ? tokens[a] < tokens[b] : a < b;
    });
}

template <class B>
class BatchUpload {
 public:
    struct Array {
        int32_t* to;          // where ops read it
        const int32_t* from;  // on the host; null: the batch has none
    };
    using Arrays = std::array<Array, 4>;

    // buffers (kBatches, 4, most): in the backend's memory; most: elements of an array.
    void bind(int32_t* buffers, int64_t most) {
        most_ = most;
        for (size_t i = 0; i < buffers_.size(); i++)
            buffers_[i] = std::make_unique<Buffer>(buffers + int64_t(i) * int64_t(Arrays().size()) * most);
        if (!buffers_.empty()) copies_ = std::make_unique<CopyStream>(memory_of<B>());
    }

    // Copies arrays of `count` elements, in the order of the stream. They are read before it returns.
    void send(Stream stream, const Arrays& arrays, int64_t count) {
        Memory& memory = memory_of<B>();
        const size_t bytes = size_t(count) * sizeof(int32_t);
        if (buffers_.empty()) {
            for (const Array& a : arrays)
                if (a.from) memory.to_device(stream, a.to, a.from, bytes);
            return;
        }
        Buffer& buffer = *buffers_[next_++ % buffers_.size()];
        buffer.taken.hold_back(copies_->get());
        for (size_t i = 0; i < arrays.size(); i++)
            if (arrays[i].from) memory.to_device(copies_->get(), part(buffer, i), arrays[i].from, bytes);
        buffer.arrived.record(copies_->get());
        buffer.arrived.hold_back(stream);
        for (size_t i = 0; i < arrays.size(); i++)
            if (arrays[i].from) memory.copy(stream, arrays[i].to, part(buffer, i), bytes);
        buffer.taken.record(stream);
    }

 private:
    struct Buffer {
        explicit Buffer(int32_t* data) : data(data) {}
        int32_t* data;                                               // (4, most)
        StreamEvent arrived{memory_of<B>()}, taken{memory_of<B>()};  // by copies_; by the stream that computes
    };
    int32_t* part(const Buffer& buffer, size_t i) const { return buffer.data + int64_t(i) * most_; }

    int64_t most_ = 0;
    size_t next_ = 0;
    std::array<std::unique_ptr<Buffer>, size_t(B::kBatches)> buffers_;
    std::unique_ptr<CopyStream> copies_;
};

}  // namespace sluice
