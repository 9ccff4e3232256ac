#include "data/shard_set.h"

#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
constexpr size_t kLargestSet = size_t{1} << 28;  // bytes
constexpr int64_t kFormat = 1;

}  // namespace

const ShardFacts* ShardSet::find(const fs::path& shard) const {
    const std::string name = shard.filename().string();
    const auto it = std::find_if(shards.begin(), shards.end(), [&](const ShardFacts& s) { return s.file == name; });
    return it == shards.end() ? nullptr : &*it;
}

fs::path set_path(const fs::path& shard) {
    const std::string stem = shard.stem().string();
    const size_t underscore = stem.rfind('_');
    if (underscore == std::string::npos || underscore == 0 || underscore + 1 == stem.size() ||
        stem.find_first_not_of("0123456789", underscore + 1) != std::string::npos)
        return {};
    return shard.parent_path() / (stem.substr(0, underscore) + ".json");
}

ShardSet read_shard_set(const fs::path& path) {
    ShardSet set;
    try {
        const Json json = parse_json(read_file(path, int(Exit::data), kLargestSet, Links::follow));
        if (to_integer(member(json, "format"), "format") != kFormat) throw JsonError("'format' is not 1");
        set.tokenizer = to_text(member(json, "tokenizer"), "tokenizer");
        if (set.tokenizer != "bytes") {
            if (set.tokenizer.empty() || fs::path(set.tokenizer).has_parent_path())
                throw JsonError("'tokenizer' is not the name of a file beside it");
            set.tokenizer = (path.parent_path() / set.tokenizer).string();
        }
        set.fingerprint = to_text(member(json, "fingerprint"), "fingerprint");
        set.vocab = to_integer(member(json, "vocab"), "vocab");
        set.delimiter = to_integer(member(json, "delimiter"), "delimiter");
        if (!member(json, "shards").is_array()) throw JsonError("'shards' is not a list");
        for (const Json& shard : json["shards"])
            set.shards.push_back({to_text(member(shard, "file"), "file"), to_integer(member(shard, "tokens"), "tokens"),
                                  to_integer(member(shard, "documents"), "documents"),
                                  to_integer(member(shard, "text_bytes"), "text_bytes"),
                                  to_integer(member(shard, "largest_id"), "largest_id"),
                                  to_text(member(shard, "hash"), "hash")});
    } catch (const JsonError& e) { fail(Exit::data, path.string() + ": " + e.what()); }
    return set;
}

void write_shard_set(const fs::path& path, const ShardSet& set) {
    Json json{{"format", kFormat},
              {"tokenizer", set.tokenizer == "bytes" ? set.tokenizer : fs::path(set.tokenizer).filename().string()},
              {"fingerprint", set.fingerprint},
              {"vocab", set.vocab},
              {"delimiter", set.delimiter},
              {"shards", Json::array()}};
    for (const ShardFacts& s : set.shards)
        json["shards"].push_back({{"file", s.file},
                                  {"tokens", s.tokens},
                                  {"documents", s.documents},
                                  {"text_bytes", s.text_bytes},
                                  {"largest_id", s.largest_id},
                                  {"hash", s.hash}});
    write_file(path, json.dump(1) + "\n");
}

void refuse_unfinished(const fs::path& shard) {
    const fs::path set = set_path(shard);
    if (set.empty() || is_there(set) || !is_there(fs::path(set).replace_extension(".partial"))) return;
    fail(Exit::data,
         shard.string() + ": sluice-data was interrupted before this set of shards was whole: run it again");
}

const ShardSet* ShardSets::of(const fs::path& shard) {
    const fs::path path = set_path(shard);
    if (path.empty() || !is_there(path)) return nullptr;
    const auto [it, first] = sets_.try_emplace(path);
    if (first) it->second = read_shard_set(path);
    if (!it->second->find(shard))
        fail(Exit::data, shard.string() + ": " + path.filename().string() + " beside it does not list it");
    return &*it->second;
}

}  // namespace sluice
