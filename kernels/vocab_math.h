// A vocabulary may be sharded: a shard holds the ids first_id .. first_id + vocab - 1. For every backend.
#pragma once
#include <cstdint>

#include "base/host_device.h"

namespace sluice {

// The index of an id within the shard, or -1: it is another shard's, or no id (below 0, and so before every shard).
SLUICE_HD inline int64_t local_id(int32_t id, int64_t first_id, int64_t vocab) {
    const int64_t local = id - first_id;
    return local >= 0 && local < vocab ? local : -1;
}

}  // namespace sluice
