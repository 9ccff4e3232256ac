// The shapes that both kinds of attention are tested on: blocks, windows, documents and shared heads.
#pragma once
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels/rows.h"
#include "support/sanitizers.h"

namespace sluice {

struct AttentionCase {
    int64_t sequences, length, heads, kv_heads, dim, window;
    int document = 0;  // tokens a document; 0: one
};
inline const AttentionCase kAttentionCases[] = {
    {1, 1, 1, 1, 2, 0},     {2, 5, 2, 1, 4, 0},        {1, 7, 3, 3, 6, 1},  {1, 9, 4, 2, 10, 3},
    {1, 65, 2, 1, 2, 0},    {1, 70, 2, 2, 4, 66},      {1, 66, 1, 1, 2, 2}, {2, 10, 2, 2, 4, 100},
    {2, 12, 2, 1, 4, 0, 5}, {1, 130, 1, 1, 2, 40, 33}, {1, 64, 1, 1, 34, 0}};
// Sizes at which tiles are shared out in other ways: many heads, and sequences whose tiles go in runs. The sanitizers
// see those through a window, since all pairs of 8200 tokens take them a minute.
inline constexpr int64_t kWindowOfRuns = kSanitized ? 900 : 0;
inline const AttentionCase kLargeAttentionCases[] = {
    {16, 70, 1, 1, 4, 0}, {4, 130, 8, 4, 2, 40, 33}, {1, 8200, 2, 1, 2, kWindowOfRuns}, {1, 12301, 1, 1, 2, 700, 1111}};

inline std::string text(const AttentionCase& c) {
    return std::to_string(c.sequences) + "x" + std::to_string(c.length) + " heads " + std::to_string(c.heads) + "/" +
           std::to_string(c.kv_heads) + " dim " + std::to_string(c.dim) + " window " + std::to_string(c.window) +
           " document " + std::to_string(c.document);
}
inline std::vector<int32_t> starts(const AttentionCase& c) {
    std::vector<int32_t> doc_start;
    for (int64_t i = 0; c.document && i < c.sequences * c.length; i++)
        doc_start.push_back(int32_t(i % c.length / c.document * c.document));
    return doc_start;
}
// Tensors of a case as rows: queries, and keys or values.
template <class V>
auto queries_of(const AttentionCase& c, V& x) {
    return dense(x, c.heads * c.dim);
}
template <class V>
auto keys_of(const AttentionCase& c, V& x) {
    return dense(x, c.kv_heads * c.dim);
}
inline AttentionShape shape(const AttentionCase& c, double scale) {
    return {c.sequences, c.length, c.heads, c.kv_heads, c.dim, c.window, scale};
}

}  // namespace sluice
