// Token shards: llm.c's format, a header of 256 int32 (magic, version, count) and the token ids,
//     20240520, version 1: uint16        20240801, version 7: uint32
// and, to read, Megatron's pair NAME.bin (ids) and NAME.idx (their type, sequences and documents). A shard that
// sluice-data wrote has an index of documents beside it, NAME.documents: "SLUICEDC", the number of documents (uint64),
// and for each its first token and its bytes of text (int64 each). A document that is split at a shard's end continues
// as the first document of the next shard; there its first token is negative: minus the number of its tokens in earlier
// shards. Errors: Failure(Exit::data), naming the file and what is wrong; Failure(Exit::disk) when writing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/hash.h"

namespace sluice {

struct Document {
    int64_t start = 0;        // index of its first token in the shard; below 0: it begins in an earlier shard
    int64_t text_bytes = -1;  // bytes of text of its tokens in this shard; below 0: unknown
};

class TokenShard {
 public:
    explicit TokenShard(const std::filesystem::path& path);
    int64_t size() const { return count_; }
    const std::filesystem::path& path() const { return file_->path(); }
    const char* format() const { return format_; }
    int bytes_per_token() const { return width_; }
    // Reads tokens [start, start + count) into tokens (count). An id outside [0, vocab) is an error; vocab 0: any id
    // from 0 to 2147483647 is valid.
    void read(int64_t start, int64_t count, int32_t* tokens, int64_t vocab) const;

    bool knows_documents() const { return index_ != nullptr; }
    int64_t documents() const { return documents_; }
    Document document(int64_t i) const;
    // doc_start (count): for token start + t the index, counted from `start`, at which its document begins; 0 if it
    // begins before `start`.
    void document_starts(int64_t start, int64_t count, int32_t* doc_start) const;

 private:
    [[noreturn]] void refuse_id(int64_t token, int64_t id, int64_t vocab) const;
    void open_llm_c();
    void open_megatron(const std::filesystem::path& path);
    int64_t id_of(const char* raw) const;
    void open_documents(const std::filesystem::path& path);

    std::unique_ptr<InputFile> file_, index_;
    const char* format_ = "";
    int width_ = 2;  // bytes per id
    bool signed_ = false;
    int64_t header_ = 0, count_ = 0;          // bytes of the header; number of tokens
    int64_t documents_ = 0, sequences_ = -1;  // sequences_ below 0: the index is NAME.documents
};

// Writes a shard in llm.c's format, uint16 where the vocabulary fits, else uint32, and its index of documents.
class ShardWriter {
 public:
    ShardWriter(const std::filesystem::path& path, int64_t vocab);
    // The next tokens belong to a new document, of which `before` tokens are in earlier shards.
    void begin_document(int64_t text_bytes, int64_t before = 0);
    void more_text(int64_t bytes) { documents_.back().text_bytes += bytes; }  // adds to the last document
    void add(const int32_t* tokens, int64_t count);
    int64_t size() const { return count_; }
    const std::vector<Document>& documents() const { return documents_; }
    int32_t largest() const { return largest_; }
    void close();                                     // completes the header, calls fsync, writes the index
    std::string hash() const { return hash_.hex(); }  // of the ids as they are stored

 private:
    std::filesystem::path path_;
    OutputFile file_;
    bool wide_;
    int64_t count_ = 0;
    int32_t largest_ = -1;
    std::vector<Document> documents_;
    std::vector<uint16_t> narrow_;
    Hash hash_;
};

// A whole shard without documents.
void write_shard(const std::filesystem::path& path, const std::vector<int32_t>& tokens, int64_t vocab);

// The shards that `path` names, sorted. It is a file, a folder (its *.bin), a glob, a set's NAME.json
// (data/shard_set.h), or Megatron's prefix (with or without .idx). Errors: Failure(Exit::data) where there are none, or
// `sluice-data tokenize` has not finished their set.
std::vector<std::filesystem::path> shard_files(const std::string& path);
// The same, but there may be none, and unfinished sets are included.
std::vector<std::filesystem::path> find_shards(const std::string& path);

}  // namespace sluice
