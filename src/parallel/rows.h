// Collectives on rows of `width` elements, counted in rows.
#pragma once
#include <vector>

#include "parallel/comm.h"

namespace sluice {

// counts (ranks) times width, in memory that this thread keeps: `slot` 0 or 1, since an all-to-all needs two such
// arrays at once.
inline const int64_t* in_elements(int slot, const Comm& comm, const int64_t* counts, int64_t width) {
    thread_local std::vector<int64_t> elements[2];
    elements[slot].assign(counts, counts + comm.size());
    for (int64_t& n : elements[slot]) n *= width;
    return elements[slot].data();
}

template <class T>
void all_gather_rows(Comm& comm, T* out, const T* in, const int64_t* counts, int64_t width) {
    comm.all_gather(out, in, in_elements(0, comm, counts, width));
}
template <class T>
void reduce_scatter_rows(Comm& comm, T* out, const T* in, const int64_t* counts, int64_t width) {
    comm.reduce_scatter(out, in, in_elements(0, comm, counts, width));
}
template <class T>
void exchange_rows(Comm& comm, T* out, const int64_t* out_counts, const T* in, const int64_t* in_counts,
                   int64_t width) {
    comm.all_to_all(out, in_elements(0, comm, out_counts, width), in, in_elements(1, comm, in_counts, width));
}

}  // namespace sluice
