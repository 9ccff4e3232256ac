// Writes a set of shards (base/shard_set.h), which becomes visible as a whole or not at all: everything goes to
// NAME.partial first. Errors: Failure(Exit::data) where the set is there already, Failure(Exit::disk).
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/shard_set.h"
#include "data/token_shard.h"

namespace sluice {

class ShardOutput {
 public:
    // replace: an existing set of this name goes when the new one is whole. set: the tokenizer's facts.
    ShardOutput(const std::filesystem::path& folder, const std::string& name, ShardSet set, int64_t shard_tokens,
                bool replace);
    ShardOutput(const ShardOutput&) = delete;
    ShardOutput& operator=(const ShardOutput&) = delete;
    ~ShardOutput();  // leaves nothing of what was not finished
    // A document's tokens (the delimiter first) or, continued, more of the last document's.
    void add(const int32_t* tokens, int64_t count, int64_t text_bytes, bool continues);
    void finish();

    int64_t documents = 0, tokens = 0, text_bytes = 0;
    const std::vector<ShardFacts>& shards() const { return set_.shards; }

 private:
    void open_shard();
    void close_shard();
    std::filesystem::path final_path(const std::string& suffix) const { return folder_ / (name_ + suffix); }

    std::filesystem::path folder_, partial_;
    std::string name_;
    ShardSet set_;
    int64_t shard_tokens_;
    bool replace_;
    int lock_ = -1;
    std::unique_ptr<ShardWriter> shard_;
    int64_t document_tokens_ = 0;  // of the open document, in shards before this one
};

}  // namespace sluice
