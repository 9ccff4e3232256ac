// Which tokenizer the data was made with.
#include <filesystem>
#include <map>
#include <optional>

#include "base/check.h"
#include "data/data.h"
#include "data/shard_set.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Sets by the path of their NAME.json. External shards have none.
using Sets = std::map<fs::path, ShardSet>;

Sets sets_of_shards(const std::string& path) {
    Sets found;
    ShardSets sets;
    for (const auto& file : shard_files(path))
        if (const ShardSet* set = sets.of(file); set && !found.contains(set_path(file)))
            found.emplace(set_path(file), *set);
    return found;
}

// The same for a path whose shards may be missing: the sets whose NAME.json still exists.
Sets sets_still_there(const std::string& path) {
    try {
        return sets_of_shards(path);
    } catch (const Failure&) {}
    Sets found;
    const fs::path folder = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, unreadable)) {
        if (entry.path().extension() != ".json") continue;
        try {
            found.emplace(entry.path(), read_shard_set(entry.path()));
        } catch (const Failure&) {}  // JSON of another kind
    }
    return found;
}

bool is_there(const std::string& tokenizer) { return tokenizer == "bytes" || fs::exists(tokenizer); }

}  // namespace

std::string tokenizer_name(const DataSpec& spec, Reads reads) {
    Sets sets;
    for (const DataSource& source : spec.train)
        sets.merge(reads == Reads::all ? sets_of_shards(source.path) : sets_still_there(source.path));
    for (const ValidationSet& set : spec.validation)
        sets.merge(reads == Reads::tokenizer ? sets_still_there(set.path) : sets_of_shards(set.path));
    std::string name = reads == Reads::validation && !is_there(spec.tokenizer) ? "" : spec.tokenizer;
    const std::pair<const fs::path, ShardSet>* first = nullptr;
    for (const auto& set : sets) {
        if (!first) first = &set;
        if (set.second.fingerprint != first->second.fingerprint)
            fail(Exit::data, set.first.string() + ": made with another tokenizer than " + first->first.string());
        if (name.empty() && is_there(set.second.tokenizer)) name = set.second.tokenizer;
    }
    if (name.empty() || !first) return name;
    if (const std::string now = fingerprint_of(name); now != first->second.fingerprint)
        fail(Exit::data, name + ": not the tokenizer that " + first->first.string() +
                             " was made with: its fingerprint is " + now + ", the shards' " +
                             first->second.fingerprint);
    return name;
}

}  // namespace sluice
