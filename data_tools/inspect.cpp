// What a token shard holds.
#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/json.h"
#include "base/token_shard.h"
#include "data_tools/commands.h"
#include "data_tools/tokenizer.h"

namespace sluice {
namespace {

struct Contents {
    int64_t tokens = 0, documents = 0;
    int32_t smallest = INT32_MAX, largest = 0;
};

Contents count(const TokenShard& shard, const ShardNotes& notes) {
    Contents c;
    std::vector<int32_t> buffer(size_t{1} << 20);
    for (int64_t at = 0; at < shard.size(); at += int64_t(buffer.size())) {
        const int64_t n = std::min<int64_t>(int64_t(buffer.size()), shard.size() - at);
        shard.read(at, n, buffer.data(), 0);
        for (int64_t i = 0; i < n; i++) {
            c.smallest = std::min(c.smallest, buffer[size_t(i)]);
            c.largest = std::max(c.largest, buffer[size_t(i)]);
            c.documents += notes.delimiter && buffer[size_t(i)] == *notes.delimiter;
        }
        c.tokens += n;
    }
    return c;
}

std::string beginning(const TokenShard& shard, const ShardNotes& notes) {
    if (notes.tokenizer.empty()) return "";
    std::vector<int32_t> ids(size_t(std::min<int64_t>(32, shard.size())));
    shard.read(0, int64_t(ids.size()), ids.data(), 0);
    return open_tokenizer(notes.tokenizer)->decode(ids);
}

}  // namespace

int inspect_command(const std::string& path, bool json) {
    Json all = Json::object();
    for (const auto& file : shard_files(path)) {
        const TokenShard shard(file);
        const ShardNotes notes = read_notes(file.parent_path());
        const Contents c = count(shard, notes);
        Json one{{"format", shard.format()}, {"tokens", c.tokens},           {"smallest_id", c.tokens ? c.smallest : 0},
                 {"largest_id", c.largest},  {"tokenizer", notes.tokenizer}, {"documents", nullptr},
                 {"text_bytes", nullptr}};
        if (notes.delimiter) one["documents"] = c.documents;
        if (const auto it = notes.text_bytes.find(file.filename().string()); it != notes.text_bytes.end())
            one["text_bytes"] = it->second;
        all[file.string()] = one;
        if (json) continue;
        std::printf("%s: %s, %lld tokens, ids %d to %d, %lld documents\n", file.c_str(), shard.format(),
                    (long long)c.tokens, c.tokens ? c.smallest : 0, c.largest, (long long)c.documents);
        if (const std::string text = beginning(shard, notes); !text.empty())
            std::printf("  begins: %s\n", Json(text).dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    }
    if (json) std::printf("%s\n", all.dump().c_str());
    return 0;
}

}  // namespace sluice
