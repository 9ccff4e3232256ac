// Asks for rows before they are read. A CPU does so by itself where it sees a run of reads, within a page: rows of a
// wider matrix each come late.
#pragma once
#include <cstdint>

#include "kernels/ops.h"

namespace sluice {

// A row some rows after row r of x (rows, width), where rows lie apart and are shorter than a page; others the CPU
// follows well enough. Always inlined: g++ drops calls of a function that only prefetches, as without effect.
template <class X>
[[gnu::always_inline]] inline void prefetch_after(const Rows<X>& x, int64_t r, int64_t rows, int64_t width) {
    constexpr int64_t kRows = 4, kLine = 64 / int64_t(sizeof(X)), kPage = 4096 / int64_t(sizeof(X));
    if (x.stride <= width || width >= kPage || r + kRows >= rows) return;
    for (int64_t i = 0; i < width; i += kLine) __builtin_prefetch(x.row(r + kRows) + i);
}

}  // namespace sluice
