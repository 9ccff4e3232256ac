// A set of shards that `sluice-data tokenize` wrote together: NAME_000000.bin, NAME_000001.bin, ... and beside them
// NAME.json, written last, which records how they were made and what each holds. While a set is being written, and
// after an interruption, there is a folder NAME.partial: it has the files, or those that were not moved out yet.
// Errors: Failure(Exit::data), naming the file and what is wrong.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer_files.h"

namespace sluice {

struct ShardFacts {
    std::string file;  // its name in the set's folder
    int64_t tokens = 0, documents = 0, text_bytes = 0, largest_id = 0;
    std::string hash;  // of the ids as they are stored
};

struct ShardSet {
    std::string tokenizer;             // "bytes", or the path of a tokenizer's file
    std::string fingerprint;           // of the tokenizer
    int64_t vocab = 0, delimiter = 0;  // number of ids; the id that begins every document
    std::vector<ShardFacts> shards;

    const ShardFacts* find(const std::filesystem::path& shard) const;  // by its file name; null: not listed
};

// NAME_000000.bin -> NAME.json; empty for files with other names.
std::filesystem::path set_path(const std::filesystem::path& shard);
ShardSet read_shard_set(const std::filesystem::path& path);
void write_shard_set(const std::filesystem::path& path, const ShardSet& set);
// Fails if the set of this shard was not finished.
void refuse_unfinished(const std::filesystem::path& shard);

// The sets of many shards. Each NAME.json is read once.
class ShardSets {
 public:
    // Null for external shards, which have no set. Errors: Failure(Exit::data) if the set does not list the shard.
    const ShardSet* of(const std::filesystem::path& shard);

 private:
    std::map<std::filesystem::path, std::optional<ShardSet>> sets_;
};

}  // namespace sluice
