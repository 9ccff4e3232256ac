#include "kernels/emu/traffic.h"

#include <algorithm>
#include <bit>

#include "base/rng.h"
#include "kernels/emu/machine.h"

namespace sluice::emu {
namespace {

constexpr uint64_t kSector = 32, kBank = 4, kBanks = 32;  // bytes, bytes, count
constexpr int kTurn = 128;                                // bytes that all banks give at once

}  // namespace

std::map<std::string, Traffic>& traffic() {
    static std::map<std::string, Traffic> traffic;
    return traffic;
}

void Counter::device(const Machine& machine, const void* p, int bytes, bool writes, const void* site) {
    add(machine, writes ? Kind::store : Kind::load, p, bytes, site);
}
void Counter::shared(const Machine& machine, const void* p, int bytes, const void* site) {
    add(machine, Kind::shared, p, bytes, site);
}

void Counter::add(const Machine& machine, Kind kind, const void* p, int bytes, const void* site) {
    const size_t warp = size_t(machine.thread / kLanes), lane = size_t(machine.thread % kLanes);
    Place& place = places_[mix(reinterpret_cast<uintptr_t>(site), warp)];
    place.kind = kind;
    place.bytes = bytes;
    const size_t i = place.turns[lane]++ - place.first;
    if (i >= place.accesses.size()) place.accesses.resize(i + 1);
    Access& access = place.accesses[i];
    access.at[lane] = reinterpret_cast<uintptr_t>(p);
    access.lanes |= uint32_t{1} << lane;
    if (access.lanes != ~uint32_t{0}) return;
    count(kind, bytes, access);
    access.lanes = 0;
    if (i + 1 < place.accesses.size()) return;
    place.first += place.accesses.size();  // the last lane of the last turn: all before are complete
    place.accesses.clear();
}

void Counter::end_block() {
    for (auto& [key, place] : places_)
        for (const Access& access : place.accesses)
            if (access.lanes) count(place.kind, place.bytes, access);
    places_.clear();
}

void Counter::count(Kind kind, int bytes, const Access& access) {
    if (kind == Kind::shared)
        count_shared(bytes, access);
    else
        count_device(kind, bytes, access);
}

void Counter::count_device(Kind kind, int bytes, const Access& access) {
    std::array<uint64_t, 32> at;
    size_t count = 0;
    for (size_t lane = 0; lane < 32; lane++)
        if (access.lanes >> lane & 1) at[count++] = access.at[lane];
    std::sort(at.begin(), at.begin() + count);
    uint64_t end = 0, next_sector = 0;  // of what was counted
    int64_t moved = 0, sectors = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t to = at[i] + uint64_t(bytes);
        if (to <= end) continue;
        moved += int64_t(to - std::max(at[i], end));
        end = to;
        const uint64_t first = std::max(at[i] / kSector, next_sector);
        next_sector = (to - 1) / kSector + 1;
        sectors += int64_t(next_sector - std::min(first, next_sector));
    }
    (kind == Kind::load ? to_.loaded : to_.stored) += moved;
    to_.sectors += sectors;
    to_.least_sectors += (moved + int64_t(kSector) - 1) / int64_t(kSector);
}

// Lanes take turns in groups whose bytes all banks can give at once: 32 lanes of up to 4 bytes, 16 of 8, 8 of 16. A
// bank gives one word a turn, to any number of lanes.
void Counter::count_shared(int bytes, const Access& access) {
    const size_t group = size_t(std::min(kLanes, kTurn / bytes));
    for (size_t begin = 0; begin < 32; begin += group) {
        std::array<std::vector<uint64_t>, kBanks> words;
        for (size_t lane = begin; lane < begin + group; lane++) {
            if (!(access.lanes >> lane & 1)) continue;
            for (uint64_t word = access.at[lane] / kBank; word <= (access.at[lane] + uint64_t(bytes) - 1) / kBank;
                 word++) {
                auto& bank = words[word % kBanks];
                if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
            }
        }
        size_t turns = 0;
        for (const auto& bank : words) turns = std::max(turns, bank.size());
        if (turns > 1) to_.bank_conflicts += int64_t(turns) - 1;
    }
    to_.shared_accesses++;
}

}  // namespace sluice::emu
