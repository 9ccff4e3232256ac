#include "checkpoint/data_record.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/format.h"
#include "base/hash.h"
#include "data/shard_set.h"
#include "parallel/collective.h"

namespace sluice {
namespace {

constexpr int64_t kStretches = 8, kSampledDocuments = 64;

// Calls visit(k) for `count` integers k from 0 to `last`, evenly spaced.
template <class Visit>
void spread(int64_t count, int64_t last, const Visit& visit) {
    for (int64_t i = 0; i < count; i++) visit(count > 1 ? int64_t(__int128(last) * i / (count - 1)) : 0);
}

std::string sample_of(const TokenShard& shard) {
    Hash hash;
    const bool whole = shard.size() <= kSampledTokens;
    std::vector<int32_t> ids(size_t(whole ? shard.size() : kSampledTokens / kStretches));
    const auto length = int64_t(ids.size());
    spread(whole ? 1 : kStretches, shard.size() - length, [&](int64_t start) {
        shard.read(start, length, ids.data(), 0);
        hash.add(ids.data(), ids.size() * sizeof ids[0]);
    });
    return hash.hex();
}

std::string documents_of(const TokenShard& shard) {
    Hash hash;
    const int64_t documents = shard.documents();
    hash.add(&documents, sizeof documents);
    spread(std::min(documents, kSampledDocuments), documents - 1, [&](int64_t i) {
        const int64_t start = shard.document(i).start;
        hash.add(&start, sizeof start);
    });
    return hash.hex();
}

SourceRecord record_source(const std::string& path, const std::vector<TokenShard>& shards, bool documents) {
    SourceRecord source{path, {}};
    ShardSets sets;
    for (const TokenShard& shard : shards)
        source.shards.push_back(record_shard(shard, sets.of(shard.path()), documents));
    return source;
}

// A hash that one of both does not have is not compared.
bool agree(const std::string& a, const std::string& b) { return a.empty() || b.empty() || a == b; }
bool same(const ShardRecord& a, const ShardRecord& b) {
    return a.tokens == b.tokens && a.sample == b.sample && agree(a.hash, b.hash) && agree(a.documents, b.documents);
}

using Shards = std::vector<const ShardRecord*>;

// Removes from both lists the shards whose tokens are in both.
void drop_common(Shards& before, Shards& now) {
    std::multimap<std::string, size_t> by_sample;  // indices in `now`
    for (size_t i = 0; i < now.size(); i++) by_sample.emplace(now[i]->sample, i);
    const auto found_in_now = [&](const ShardRecord* shard) {
        const auto [begin, end] = by_sample.equal_range(shard->sample);
        const auto it = std::find_if(begin, end, [&](const auto& p) { return same(*shard, *now[p.second]); });
        if (it == end) return false;
        now[it->second] = nullptr;
        by_sample.erase(it);
        return true;
    };
    std::erase_if(before, found_in_now);
    std::erase(now, nullptr);
}

// Removes from both lists the shards whose file name is in both, and returns their names with old and new sizes.
std::vector<std::string> drop_rewritten(Shards& before, Shards& now) {
    std::vector<std::string> names;
    for (auto& old : before) {
        const auto it = std::find_if(now.begin(), now.end(), [&](const auto& s) { return s->file == old->file; });
        if (it == now.end()) continue;
        const std::string tokens = std::to_string(old->tokens);
        names.push_back(old->file + " (" + tokens +
                        ((*it)->tokens == old->tokens ? "" : " -> " + std::to_string((*it)->tokens)) + " tokens)");
        now.erase(it);
        old = nullptr;
    }
    std::erase(before, nullptr);
    return names;
}

std::string list_of(const std::string& what, const Shards& shards) {
    std::vector<std::string> names;
    for (const auto* s : shards) names.push_back(s->file + " (" + std::to_string(s->tokens) + " tokens)");
    return what + ": " + format_list(names);
}

Shards pointers(const SourceRecord& source) {
    Shards shards;
    for (const auto& s : source.shards) shards.push_back(&s);
    return shards;
}

Json to_json(const SourceRecord& source) {
    Json json{{"path", source.path}, {"shards", Json::array()}};
    for (const ShardRecord& s : source.shards) {
        Json& shard = json["shards"].emplace_back(Json{{"file", s.file}, {"tokens", s.tokens}, {"sample", s.sample}});
        if (!s.hash.empty()) shard["hash"] = s.hash;
        if (!s.documents.empty()) shard["documents"] = s.documents;
    }
    return json;
}

std::vector<SourceRecord> parse_sources(const Json& json) {
    std::vector<SourceRecord> sources;
    if (!json.is_array()) throw JsonError("'data' has no list of sources");
    for (const Json& source : json) {
        SourceRecord& record = sources.emplace_back(SourceRecord{to_text(member(source, "path"), "path"), {}});
        if (!member(source, "shards").is_array()) throw JsonError("'shards' is not a list");
        for (const Json& s : source["shards"]) {
            const auto text = [&](const char* key) { return s.contains(key) ? to_text(s[key], key) : ""; };
            record.shards.push_back({to_text(member(s, "file"), "file"), to_integer(member(s, "tokens"), "tokens"),
                                     text("hash"), to_text(member(s, "sample"), "sample"), text("documents")});
        }
    }
    return sources;
}

}  // namespace

ShardRecord record_shard(const TokenShard& shard, const ShardSet* set, bool documents) {
    return {shard.path().filename().string(), shard.size(), set ? set->find(shard.path())->hash : "", sample_of(shard),
            documents && shard.knows_documents() ? documents_of(shard) : ""};
}

DataRecord record_data(const DataSpec& spec, const TrainingData& train, const std::vector<ValidationData>& validation) {
    DataRecord record;
    for (size_t i = 0; i < spec.train.size(); i++)
        record.train.push_back(record_source(spec.train[i].path, train.shards_of(i), spec.document_mask));
    for (size_t i = 0; i < validation.size(); i++)
        record.validation.push_back(record_source(spec.validation[i].path, validation[i].shards(), spec.document_mask));
    return record;
}

int refuse_other_data(Comm& comm, const TrainingData& data, size_t sources) {
    std::string counts;
    for (size_t i = 0; i < sources; i++)
        for (const TokenShard& shard : data.shards_of(i)) counts += std::to_string(shard.size()) + " ";
    const int other = first_other(comm, counts);
    return on_all_ranks(comm, [&] {
        if (comm.rank() == other)
            fail(Exit::data, "rank " + std::to_string(other) +
                                 " finds other training shards than rank 0: do all hosts " + "see the same files?");
    });
}

std::string source_change(const SourceRecord& before, const SourceRecord& now) {
    if (std::equal(before.shards.begin(), before.shards.end(), now.shards.begin(), now.shards.end(), same)) return "";
    Shards lost = pointers(before), added = pointers(now);
    drop_common(lost, added);
    const auto rewritten = drop_rewritten(lost, added);
    std::vector<std::string> changes;
    if (!rewritten.empty()) changes.push_back("holds other tokens: " + format_list(rewritten));
    if (!lost.empty()) changes.push_back(list_of("is no longer there", lost));
    if (!added.empty()) changes.push_back(list_of("was added", added));
    if (changes.empty()) return "its shards stand in another order";
    return format_list(changes, changes.size());
}

void write_data_record(Json& data, const DataRecord& record) {
    for (const auto& [key, sources] : {std::pair{"train", &record.train}, {"validation", &record.validation}}) {
        if (sources->empty()) continue;
        data[key] = Json::array();
        for (const auto& source : *sources) data[key].push_back(to_json(source));
    }
}

DataRecord parse_data_record(const Json& data) {
    DataRecord record;
    if (data.contains("train")) record.train = parse_sources(data["train"]);
    if (data.contains("validation")) record.validation = parse_sources(data["validation"]);
    return record;
}

}  // namespace sluice
