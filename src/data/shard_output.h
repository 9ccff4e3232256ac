// Writes a set of shards (data/shard_set.h), which becomes visible as a whole or not at all: its files are written to
// NAME.partial and moved out once all are complete. Errors: Failure(Exit::data) where the set exists already,
// Failure(Exit::disk).
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
    // replace: an existing set of this name is replaced once the new one is complete. set: the facts about the
    // tokenizer.
    ShardOutput(const std::filesystem::path& folder, const std::string& name, ShardSet set, int64_t shard_tokens,
                bool replace);
    ShardOutput(const ShardOutput&) = delete;
    ShardOutput& operator=(const ShardOutput&) = delete;
    ~ShardOutput();  // removes a set that was not finished
    // Adds the tokens of a document, the delimiter first, or, if it continues, more tokens of the last document.
    // text_bytes: bytes of the text that these tokens encode.
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
    int64_t document_tokens_ = 0;  // tokens of the last document so far, in all shards
};

}  // namespace sluice
