// Asks for rows before they are read. A CPU does so by itself where it sees a run of reads, within a page: rows of a
// wider matrix are short runs, whose beginnings come late.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/ops.h"

namespace sluice {

constexpr int64_t kPiece = 128;  // elements of a row between two calls of Ahead::of

// Walks some 2 KiB ahead of a loop over the rows of x (rows, width), which lie apart; where they do not, the CPU
// follows well enough. Always inlined: g++ drops calls of a function that only prefetches, as without effect.
template <class X>
class Ahead {
 public:
    // The loop begins at row `begin`.
    Ahead(const Rows<X>& x, int64_t begin, int64_t rows, int64_t width)
        : x_(x), row_(x.stride > width ? begin : rows), rows_(rows), width_(width) {}

    // The loop is about to read `count` more elements of a row.
    [[gnu::always_inline]] void of(int64_t count) {
        count += first_;
        first_ = 0;
        while (count > 0 && row_ < rows_) {
            const int64_t some = std::min(count, width_ - column_);
            const X* from = x_.row(row_) + column_;
            for (int64_t i = 0; i < some; i += kLine) __builtin_prefetch(from + i);
            count -= some;
            column_ += some;
            if (column_ < width_) continue;
            column_ = 0;
            row_++;
        }
    }

 private:
    static constexpr int64_t kLine = 64 / int64_t(sizeof(X)), kAhead = 2048 / int64_t(sizeof(X));
    Rows<X> x_;
    int64_t row_, rows_, width_, column_ = 0;
    int64_t first_ = kAhead;  // at the first call, more
};

}  // namespace sluice
