// Who touched each two bytes of a block's shared memory last. A barrier of the block orders what all its threads did
// before and after it, warp_barrier() what the lanes of a warp did; a shuffle or ballot orders nothing, as CUDA says.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/emu/running.h"

namespace sluice::emu {

// A thread at a moment: how many barriers it has passed.
struct Moment {
    uint32_t barriers = 0;  // of the block, counted on from block to block; 0: never
    uint16_t warp_barriers = 0;
    uint16_t thread = 0;
    const void* site = nullptr;  // the instruction behind the access
};

class SharedRaces {
 public:
    SharedRaces();
    ~SharedRaces();
    SharedRaces(const SharedRaces&) = delete;
    SharedRaces& operator=(const SharedRaces&) = delete;

    // Whether `bytes` bytes at an offset of the shared arena may be accessed now. first_barrier: with which the block
    // began. Reads of four bytes and more look at and leave their mark on every other cell; writes on all.
    bool may_read(const Moment& now, uint32_t first_barrier, int64_t offset, int bytes) {
        const int step = bytes >= 4 ? 2 : 1;
        for (Cell *cell = cells_ + offset / 2, *end = cell + (bytes + 1) / 2; cell < end; cell += step) {
            if (cell->writer.barriers < first_barrier) [[unlikely]]
                return refuse_uninitialised();
            if (!ordered(cell->writer, now)) [[unlikely]]
                return refuse("reads", cell->writer, "wrote", "read after write");
            if (cell->reader.barriers == now.barriers && cell->reader.thread != now.thread) keep(*cell, now);
            cell->reader = now;
        }
        return true;
    }
    bool may_write(const Moment& now, int64_t offset, int bytes) {
        for (Cell *cell = cells_ + offset / 2, *end = cell + (bytes + 1) / 2; cell < end; cell++) {
            if (!ordered(cell->writer, now)) [[unlikely]]
                return refuse("overwrites", cell->writer, "wrote", "write after write");
            if (!ordered(cell->reader, now)) [[unlikely]]
                return refuse("overwrites", cell->reader, "read", "write after read");
            if (!ordered(cell->other_reader, now)) [[unlikely]]
                return refuse("overwrites", cell->other_reader, "read", "write after read");
            cell->writer = now;
        }
        return true;
    }
    const std::string& why() const { return why_; }  // after a false

 private:
    // Of readers since the last barrier, the latest, and one of another warp, or else of another lane: a later write
    // that races with any reader races with one of these.
    struct Cell {
        Moment writer, reader, other_reader;
    };
    static int warp_of(const Moment& moment) { return moment.thread / 32; }
    static bool ordered(const Moment& before, const Moment& now) {
        return before.barriers != now.barriers || before.thread == now.thread ||
               (warp_of(before) == warp_of(now) && before.warp_barriers != now.warp_barriers);
    }
    // Another thread reads after cell.reader.
    static void keep(Cell& cell, const Moment& now) {
        const bool known = cell.other_reader.barriers == now.barriers && warp_of(cell.other_reader) != warp_of(now);
        if (warp_of(cell.reader) != warp_of(now) || !known) cell.other_reader = cell.reader;
    }
    bool refuse(const char* does, const Moment& other, const char* did, const char* name);
    bool refuse_uninitialised();

    Cell* cells_;
    std::string why_;
};

}  // namespace sluice::emu
