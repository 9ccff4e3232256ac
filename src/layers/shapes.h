// Shapes that layers share.
#pragma once
#include <cstdint>

#include "base/backend.h"

namespace sluice {

// A micro-batch as layers see it: sequences of one length, tokens = sequences * length rows.
struct Batch {
    int64_t sequences = 0, length = 0;
    int64_t tokens() const { return sequences * length; }
};

// What a pass shares: the rotation table and where documents begin.
template <class B>
struct Pass {
    Stream stream;
    Batch batch;
    const typename B::A *cos = nullptr, *sin = nullptr;  // (length, dim / 2)
    const int32_t* first = nullptr;                      // (tokens), or null
};

}  // namespace sluice
