// What kernels move, counted where Options::traffic is on. An access is of a warp: the same place in the source, the
// same turn in each lane.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::emu {

class Machine;

struct Traffic {
    int64_t launches = 0;
    int64_t blocks = 0, ran = 0;     // of their grids, and those of them that ran: fewer with Blocks::edges
    int64_t loaded = 0, stored = 0;  // bytes of device memory; what several lanes of an access read counts once
    int64_t sectors = 0;             // of 32 bytes, that accesses of device memory touch
    int64_t least_sectors = 0;       // that the bytes of each access would fill
    int64_t shared_accesses = 0;     // of a warp
    int64_t bank_conflicts = 0;      // turns that accesses of shared memory take beside those their bytes need
};
// By kernel: "RmsNormForward<bf16>". Clear it to begin anew.
std::map<std::string, Traffic>& traffic();

// Gathers the accesses of a block. Those of a warp meet when the last of their lanes has come, or the block ends.
class Counter {
 public:
    explicit Counter(Traffic& to) : to_(to) {}
    void device(const Machine&, const void* p, int bytes, bool writes, const void* site);
    void shared(const Machine&, const void* p, int bytes, const void* site);
    void end_block();

 private:
    enum class Kind { load, store, shared };
    struct Access {
        uint32_t lanes = 0;  // which have come
        std::array<uint64_t, 32> at;
    };
    struct Place {  // of one warp
        Kind kind;
        int bytes;
        std::array<size_t, 32> turns{};  // of each lane so far
        size_t first = 0;                // the turn that accesses[0] is
        std::vector<Access> accesses;
    };
    void add(const Machine&, Kind, const void* p, int bytes, const void* site);
    void count(Kind, int bytes, const Access&);
    void count_device(Kind, int bytes, const Access&);
    void count_shared(int bytes, const Access&);

    Traffic& to_;
    std::unordered_map<uint64_t, Place> places_;  // by site and warp
};

}  // namespace sluice::emu
