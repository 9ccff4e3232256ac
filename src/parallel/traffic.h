// Bytes of collectives in a group: what each rank hands over, as Comm counts it, and what it then sends. Collectives
// are rings of n ranks. Each rank sends (n - 1) / n of the whole result of an all-gather, of the whole input of a
// reduce-scatter, or of what it hands to an all-to-all; and twice that for an all-reduce.
#pragma once
#include <cstdint>

namespace sluice {

struct GroupTraffic {
    double handed = 0, sent = 0;

    // bytes: of the whole tensor, which every rank hands over.
    void all_reduce(double bytes, int64_t ranks) { add(bytes, 2 * ring(bytes, ranks), ranks); }
    void reduce_scatter(double bytes, int64_t ranks) { add(bytes, ring(bytes, ranks), ranks); }
    // mine: bytes of this rank's slice; whole: of all slices together.
    void all_gather(double mine, double whole, int64_t ranks) { add(mine, ring(whole, ranks), ranks); }
    // bytes: of all that this rank hands over, as much for each rank of the group.
    void all_to_all(double bytes, int64_t ranks) { add(bytes, ring(bytes, ranks), ranks); }

    void add(const GroupTraffic& t, double times) {
        handed += times * t.handed;
        sent += times * t.sent;
    }

 private:
    static double ring(double bytes, int64_t ranks) { return bytes * double(ranks - 1) / double(ranks); }
    void add(double mine, double wire, int64_t ranks) {
        if (ranks == 1) return;
        handed += mine;
        sent += wire;
    }
};

}  // namespace sluice
