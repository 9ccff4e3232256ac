// Training samples and validation windows from token shards.
//
// A shard of N tokens holds floor((N - 1) / T) samples: sample i is the T + 1 tokens from token i T on, and none
// crosses a shard's end. An epoch of a source is a permutation of all its samples, a pure function of (seed, source,
// epoch) computed in O(1) memory. Which source sample n of the run comes from is a pure function of n and the weights
// (data/blend.h). So resuming needs only the number of samples consumed.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/specs.h"
#include "data/token_shard.h"

namespace sluice {

// Which data a command reads: training reads all, evaluation the validation sets, sampling only the tokenizer. Files
// that it does not read may be missing.
enum class Reads { all, validation, tokenizer };
// data.tokenizer, else the tokenizer that is recorded beside the shards, if its file exists; empty: neither. Errors:
// Failure(Exit::data) where two shards were made with different tokenizers, or the tokenizer's fingerprint differs from
// the recorded one.
std::string tokenizer_name(const DataSpec& spec, Reads reads = Reads::all);

// The number of samples in a shard of `tokens` tokens.
int64_t samples_in(int64_t tokens, int64_t sequence_length);

// Reads samples by their number in the run. Errors: Failure(Exit::data): no such file, a malformed shard, a token id
// outside the vocabulary (file, offset, id, vocabulary named), fewer tokens than one sample; with document_mask also a
// shard whose document starts are neither recorded nor given by a delimiter.
class TrainingData {
 public:
    TrainingData(const DataSpec& spec, int64_t vocab, int64_t seed);
    ~TrainingData();
    // tokens (sequence_length + 1): sample n of the run, n from 0. doc_start (sequence_length): for each token the
    // index in the sample at which its document begins; null to skip.
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

// A validation set as one stream of tokens (its files in sorted order), and its bytes of text where they are recorded.
class ValidationData {
 public:
    ValidationData(const DataSpec& spec, const ValidationSet& set, int64_t vocab);
    ValidationData(ValidationData&&) noexcept;
    ~ValidationData();
    int64_t tokens() const;
    const std::vector<TokenShard>& shards() const;
    std::optional<int64_t> text_bytes() const;  // of all tokens; empty unless every shard has a set
    // Reads tokens [start, start + count) of the stream into tokens (count). doc_start (count): as for training, or
    // null.
    void read(int64_t start, int64_t count, int32_t* tokens, int32_t* doc_start);

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// doc_start (count): for each of tokens (count) the index at which its document begins, counted from tokens[0]. A
// delimiter begins a document.
void document_starts(int32_t* doc_start, const int32_t* tokens, int64_t count, int64_t delimiter);

}  // namespace sluice
