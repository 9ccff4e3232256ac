#include "train/autotune_records.h"

#include <map>

#include "kernels/autotune.h"

namespace sluice {

std::vector<AutotuneRecord> autotune_records(int64_t rank, const std::vector<AutotuneRecord>& before) {
    std::vector<AutotuneRecord> records;
    std::set<std::string> here;
    for (const AutotuneSection& section : export_autotune()) {
        records.push_back({section.machine, section.lines, {rank}});
        here.insert(section.machine);
    }
    for (const AutotuneRecord& record : before)
        if (!here.count(record.machine)) records.push_back({record.machine, record.lines, {}});
    return records;
}

void restore_autotune(const std::vector<AutotuneRecord>& saved, int64_t rank) {
    std::map<std::string, const AutotuneRecord*> chosen;  // by machine: the first, unless one is this rank's
    for (const AutotuneRecord& record : saved) {
        const auto [it, first] = chosen.try_emplace(record.machine, &record);
        if (!first && record.ranks.count(rank)) it->second = &record;
    }
    for (const auto& [machine, record] : chosen) import_autotune({machine, record->lines});
}

}  // namespace sluice
