// Lists of spans for ops over many tensors, in the backend's memory.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/memory.h"
#include "kernels/ops.h"
#include "tensor/arena.h"

namespace sluice {

// The `count` elements of a span from element `at` on.
inline Span piece(const Span& s, int64_t at, int64_t count) { return {s.offset + at, count}; }
inline AdamWSpan piece(const AdamWSpan& s, int64_t at, int64_t count) {
    return {s.weights + at, s.gradients + at, s.state + at, count, s.decays};
}

template <class B, class S>
class SpanList {
 public:
    SpanList() = default;
    // A span may be longer than an op takes: it becomes several of at most B::kSpan elements.
    SpanList(const std::vector<S>& spans, Stream stream) {
        std::vector<S> pieces;
        for (const S& span : spans)
            for (int64_t at = 0; at < span.count;) {
                const int64_t count = std::min(B::kSpan, span.count - at);
                pieces.push_back(piece(span, at, count));
                at += count;
            }
        count_ = int64_t(pieces.size());
        arena_ = Arena("lists of spans", pieces.size() * sizeof(S), memory_of<B>());
        memory_of<B>().to_device(stream, arena_.data(), pieces.data(), arena_.bytes());
    }
    const S* data() const { return reinterpret_cast<const S*>(arena_.data()); }
    int64_t count() const { return count_; }

 private:
    Arena arena_;
    int64_t count_ = 0;
};

}  // namespace sluice
