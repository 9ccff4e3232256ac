#include "checkpoint/data_changes.h"

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "data/shard_set.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Texts of all changes, source by source. sources: how many there are now; change_of(i): how source i differs, empty if
// it does not.
std::vector<std::string> list_changes(const DataRecord& before, size_t sources, const std::vector<std::string>& moved,
                                      const std::function<std::string(size_t)>& path,
                                      const std::function<std::string(size_t)>& change_of) {
    std::vector<std::string> changes;
    for (size_t i = 0; i < std::max(before.train.size(), sources); i++) {
        const std::string key = "data.train." + std::to_string(i);
        const bool both = i < std::min(before.train.size(), sources);
        const std::string change = both ? change_of(i) : "";
        if (both && change.empty()) continue;
        std::copy_if(moved.begin(), moved.end(), std::back_inserter(changes),
                     [&](const std::string& text) { return text.starts_with(key + ".path: "); });
        if (both) changes.push_back(key + " (" + path(i) + "): " + change);
    }
    return changes;
}

const ShardSet* set_or_none(ShardSets& sets, const fs::path& shard) {
    try {
        return sets.of(shard);
    } catch (const Failure&) { return nullptr; }
}

// Removes the shard of that name from the record, if it has one.
void forget(SourceRecord& source, const std::string& file) {
    const auto it =
        std::find_if(source.shards.begin(), source.shards.end(), [&](const auto& s) { return s.file == file; });
    if (it != source.shards.end()) source.shards.erase(it);
}

// How a source's shards on disk differ from the record. A shard that exists but cannot be read is neither lost nor
// added: it is removed from both sides, and reported as such.
std::string change_as_far_as_read(SourceRecord before, const std::string& path, bool documents) {
    SourceRecord now{path, {}};
    std::vector<std::string> unreadable;
    ShardSets sets;
    for (const fs::path& file : find_shards(path)) {
        if (!is_there(file)) continue;
        try {
            refuse_unfinished(file);
            now.shards.push_back(record_shard(TokenShard(file), set_or_none(sets, file), documents));
        } catch (const Failure& f) {
            unreadable.emplace_back(f.what());
            forget(before, file.filename().string());
        }
    }
    std::vector<std::string> changes;
    if (const std::string change = source_change(before, now); !change.empty()) changes.push_back(change);
    if (!unreadable.empty()) changes.push_back("cannot be read: " + format_list(unreadable));
    return format_list(changes, changes.size());
}

}  // namespace

std::vector<std::string> data_changes(const DataRecord& before, const DataRecord& now,
                                      const std::vector<std::string>& moved) {
    return list_changes(
        before, now.train.size(), moved, [&](size_t i) { return now.train[i].path; },
        [&](size_t i) { return source_change(before.train[i], now.train[i]); });
}

std::vector<std::string> data_changes(const DataRecord& before, const DataSpec& now,
                                      const std::vector<std::string>& moved) {
    const auto change_of = [&](size_t i) -> std::string {
        try {
            return change_as_far_as_read(before.train[i], now.train[i].path, now.document_mask);
        } catch (const Failure& f) { return f.what(); }
    };
    return list_changes(
        before, now.train.size(), moved, [&](size_t i) { return now.train[i].path; }, change_of);
}

}  // namespace sluice
