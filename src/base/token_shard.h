// Token shards: llm.c's format, a header of 256 int32 (magic, version, count) and the token ids,
//     20240520, version 1: uint16        20240801, version 7: uint32
// and, to read, Megatron's pair NAME.bin (ids) and NAME.idx (their type and the documents).
// Beside shards stands tokens.json, written by sluice-data: the tokenizer, the delimiter, each file's bytes of text.
// Errors: Failure(Exit::data), naming the file and what is wrong.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace sluice {

class TokenShard {
 public:
    explicit TokenShard(const std::filesystem::path& path);
    int64_t size() const { return count_; }
    const std::filesystem::path& path() const { return file_->path(); }
    const char* format() const { return format_; }
    int bytes_per_token() const { return width_; }
    // Tokens [start, start + count). Ids outside [0, vocab) are refused before anything uses them; vocab 0: any id.
    void read(int64_t start, int64_t count, int32_t* tokens, int64_t vocab) const;

 private:
    void open_megatron(const std::filesystem::path& index);
    std::unique_ptr<InputFile> file_;
    const char* format_ = "";
    int width_ = 2;
    int64_t header_ = 0, count_ = 0;  // bytes, tokens
};

// Writes a shard in llm.c's format: uint16 where the vocabulary fits, else uint32.
void write_shard(const std::filesystem::path& path, const std::vector<int32_t>& tokens, int64_t vocab);

// A file, a folder's *.bin or a glob, sorted.
std::vector<std::filesystem::path> shard_files(const std::string& path);

struct ShardNotes {
    std::string tokenizer;             // "bytes", or the path of a SentencePiece model; empty: unknown
    std::optional<int64_t> delimiter;  // begins every document
    std::optional<int64_t> vocab;
    std::map<std::string, int64_t> text_bytes;  // file name -> bytes of text that its tokens stand for
};
ShardNotes read_notes(const std::filesystem::path& folder);  // empty where there is no tokens.json
void write_notes(const std::filesystem::path& folder, const ShardNotes& notes);

}  // namespace sluice
