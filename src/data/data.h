// Training samples and validation windows out of token shards.
//
// A shard of N tokens holds floor((N - 1) / T) samples: T + 1 tokens from each multiple of T; none crosses a shard. An
// epoch of a source is a permutation of all its samples, a pure function of (seed, source, epoch) computed in O(1)
// memory. Which source sample n of the run comes from is a pure function of n and the weights (train/blend.h). So a
// resume needs only the number of samples consumed.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "data/token_shard.h"

namespace sluice {

// What a command reads of the data: training all of it, evaluation the validation sets, sampling the tokenizer. What it
// does not read may be gone.
enum class Reads { all, validation, tokenizer };
// data.tokenizer, else the tokenizer that is recorded beside the shards and still there; empty: neither. Errors:
// Failure(Exit::data) where shards that are there were made with different tokenizers, or with another than this one is
// now.
std::string tokenizer_name(const DataSpec& spec, Reads reads = Reads::all);

// Samples that a shard of so many tokens holds.
int64_t samples_in(int64_t tokens, int64_t sequence_length);

// Reads samples by their number in the run. Errors: Failure(Exit::data): no such file, a malformed shard, a token id
// outside the vocabulary (file, offset, id, vocabulary named), fewer tokens than one sample, and with document_mask a
// shard without documents that has no delimiter either.
class TrainingData {
 public:
    TrainingData(const DataSpec& spec, int64_t vocab, int64_t seed);
    ~TrainingData();
    // tokens (sequence_length + 1) of sample n of the run, n from 0. doc_start (sequence_length): where the document of
    // each token begins, counted from the sample's start; null: not asked for.
    void sample(int64_t n, int32_t* tokens, int32_t* doc_start);
    int64_t samples_per_epoch(size_t source) const;
    int64_t samples() const;  // in all sources
    int64_t tokens() const;   // in all sources
    size_t shards() const;
    const std::vector<TokenShard>& shards_of(size_t source) const;  // in the order in which they are read

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A validation set as one stream of tokens (its files in sorted order), and its size in bytes of text where known.
class ValidationData {
 public:
    ValidationData(const DataSpec& spec, const ValidationSet& set, int64_t vocab);
    ValidationData(ValidationData&&) noexcept;
    ~ValidationData();
    int64_t tokens() const;
    const std::vector<TokenShard>& shards() const;
    std::optional<int64_t> text_bytes() const;  // all tokens' bytes, when recorded beside the shards
    // tokens (count); doc_start (count), or null: as for training.
    void read(int64_t start, int64_t count, int32_t* tokens, int32_t* doc_start);

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// doc_start[t] (count): where the document of token t begins, counted from the start of this sequence. A delimiter
// begins a document.
void document_starts(int32_t* doc_start, const int32_t* tokens, int64_t count, int64_t delimiter);

}  // namespace sluice
