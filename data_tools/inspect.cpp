// Prints what token shards hold, and compares it with what their set says.
#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/json.h"
#include "cli/terminal.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "data_tools/commands.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

constexpr int64_t kSampleTokens = 48;

struct Contents {
    int32_t smallest = INT32_MAX, largest = 0;
    std::string hash;  // of the ids' bytes, as llm.c's format stores them
};

Contents read_all(const TokenShard& shard, ProgressLine& progress, int64_t& done) {
    Contents c;
    Hash hash;
    std::vector<int32_t> buffer(size_t{1} << 20);
    std::vector<uint16_t> narrow;
    for (int64_t at = 0; at < shard.size(); at += int64_t(buffer.size())) {
        const int64_t n = std::min<int64_t>(int64_t(buffer.size()), shard.size() - at);
        shard.read(at, n, buffer.data(), 0);
        const auto [low, high] = std::minmax_element(buffer.begin(), buffer.begin() + n);
        c.smallest = std::min(c.smallest, *low);
        c.largest = std::max(c.largest, *high);
        narrow.assign(buffer.begin(), buffer.begin() + n);
        const bool wide = shard.bytes_per_token() == 4;
        hash.add(wide ? static_cast<const void*>(buffer.data()) : narrow.data(), size_t(n) * (wide ? 4 : 2));
        done += n;
        progress.at(double(done));
    }
    c.hash = hash.hex();
    return c;
}

// Decodes the beginnings of `count` documents spread over the shard; without an index of documents, the beginning of
// the shard.
Json samples_of(const TokenShard& shard, const Tokenizer& tokenizer, int64_t count) {
    Json samples = Json::array();
    const bool known = shard.knows_documents();
    const int64_t documents = known ? shard.documents() : 1;
    for (int64_t i = 0; i < std::min(count, documents); i++) {
        const int64_t d = i * documents / std::min(count, documents);
        const int64_t start = known ? std::max<int64_t>(0, shard.document(d).start) : 0;
        const int64_t end = known && d + 1 < documents ? shard.document(d + 1).start : shard.size();
        std::vector<int32_t> ids(size_t(std::min(kSampleTokens, end - start)));
        shard.read(start, int64_t(ids.size()), ids.data(), 0);
        samples.push_back({{"token", start}, {"text", tokenizer.decode(ids)}});
    }
    return samples;
}

std::string quoted(const Json& text) { return text.dump(-1, ' ', false, Json::error_handler_t::replace); }

void print(const std::string& file, const Json& s) {
    std::printf("%s: %s, %s tokens, ids %s to %s\n", file.c_str(), s["format"].get<std::string>().c_str(),
                s["tokens"].dump().c_str(), s["smallest_id"].dump().c_str(), s["largest_id"].dump().c_str());
    if (!s["documents"].is_null())
        std::printf("  documents %s%s\n", s["documents"].dump().c_str(),
                    s["text_bytes"].is_null() ? "" : (", bytes of text " + s["text_bytes"].dump()).c_str());
    if (!s["tokenizer"].is_null())
        std::printf("  tokenizer %s, vocabulary %s, delimiter %s, fingerprint %s\n",
                    s["tokenizer"].get<std::string>().c_str(), s["vocab"].dump().c_str(), s["delimiter"].dump().c_str(),
                    s["fingerprint"].get<std::string>().c_str());
    for (const Json& sample : s["samples"])
        std::printf("  at %s: %s\n", sample["token"].dump().c_str(), quoted(sample["text"]).c_str());
}

}  // namespace

int inspect_command(const std::string& path, const std::string& tokenizer, int64_t samples, bool json) {
    Json all = Json::object();
    const auto files = shard_files(path);
    std::vector<TokenShard> shards;
    int64_t total = 0, done = 0;
    for (const auto& file : files) total += shards.emplace_back(file).size();
    ProgressLine progress("inspect", "tokens", double(total), json ? stderr : stdout);
    ShardSets sets;
    std::string opened;
    std::unique_ptr<Tokenizer> decoder;
    for (size_t i = 0; i < files.size(); i++) {
        const TokenShard& shard = shards[i];
        const ShardSet* set = sets.of(files[i]);
        const Contents c = read_all(shard, progress, done);
        Json one{{"format", shard.format()}, {"bytes_per_token", shard.bytes_per_token()},
                 {"tokens", shard.size()},   {"smallest_id", shard.size() > 0 ? c.smallest : 0},
                 {"largest_id", c.largest},  {"documents", nullptr},
                 {"text_bytes", nullptr},    {"tokenizer", nullptr},
                 {"samples", Json::array()}};
        if (shard.knows_documents())
            one["documents"] = shard.documents() - (shard.documents() > 0 && shard.document(0).start < 0);
        if (set) {
            const ShardFacts& facts = *set->find(files[i]);
            if (facts.tokens != shard.size() || facts.hash != c.hash)
                fail(Exit::data, files[i].string() + ": its tokens are not those that were written: make it anew");
            one["text_bytes"] = facts.text_bytes;
            one["tokenizer"] = set->tokenizer;
            one["vocab"] = set->vocab;
            one["delimiter"] = set->delimiter;
            one["fingerprint"] = set->fingerprint;
        }
        std::string name = tokenizer;
        if (name.empty() && set && (set->tokenizer == "bytes" || std::filesystem::exists(set->tokenizer)))
            name = set->tokenizer;
        if (samples > 0 && !name.empty()) {
            if (name != opened) decoder = open_tokenizer(opened = name);
            one["samples"] = samples_of(shard, *decoder, samples);
        }
        if (!json) print(files[i].string(), one);
        all[files[i].string()] = std::move(one);
    }
    if (json) std::printf("%s\n", quoted(all).c_str());
    return 0;
}

}  // namespace sluice
