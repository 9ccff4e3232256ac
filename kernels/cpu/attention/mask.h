// Which keys a query sees: those of its own document, within the window, not after itself.
#pragma once
#include <algorithm>
#include <cstdint>

namespace sluice {

constexpr int64_t kTile = 64;  // tokens of a query tile, and of a key tile

// Of one sequence: the query of token t sees the keys of tokens first_key(t) .. t.
struct CausalMask {
    const int32_t* doc_start;  // (length) where the document of each token begins, or null: all are one document
    int64_t window;            // keys seen, its own included; 0: no limit

    int64_t first_key(int64_t t) const {
        const int64_t document = doc_start ? doc_start[t] : 0;
        return window > 0 ? std::max(document, t - window + 1) : document;
    }
    // The smallest over the queries t .. t + rows - 1: an arbitrary doc_start need not grow with t.
    int64_t first_key(int64_t t, int64_t rows) const {
        if (!doc_start) return first_key(t);
        int64_t least = first_key(t);
        for (int64_t i = 1; i < rows; i++) least = std::min(least, first_key(t + i));
        return least;
    }
};

// The mask on one pair of tiles: queries q0 .. q0 + rows - 1 and keys k0 .. k0 + keys - 1. Query i of the tile sees its
// keys first(i) .. end(i) - 1.
struct TileMask {
    const CausalMask& mask;
    int64_t q0, rows, k0, keys;

    bool empty() const { return mask.first_key(q0, rows) >= k0 + keys; }
    bool full() const {
        if (k0 + keys > q0 + 1) return false;
        for (int64_t i = 0; i < rows; i++)
            if (mask.first_key(q0 + i) > k0) return false;
        return true;
    }
    int64_t first(int64_t i) const { return std::clamp<int64_t>(mask.first_key(q0 + i) - k0, 0, keys); }
    int64_t end(int64_t i) const { return std::clamp<int64_t>(q0 + i + 1 - k0, 0, keys); }
    bool diagonal() const { return q0 == k0; }  // key j is seen by queries j .. at most
};

}  // namespace sluice
