// What sluice-data does. Errors: Failure(Exit::data), Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/left_out.h"
#include "documents/content.h"

namespace sluice {

// Text files in (data_tools/documents.h); out a set of token shards NAME_000000.bin ... (base/shard_set.h), or two,
// NAME_train and NAME_val. Every document begins with the delimiter.
struct TokenizeArgs {
    std::vector<std::string> inputs;
    std::string tokenizer = "bytes", out, name = "tokens", text_key = "text", delimiter;  // delimiter: of the tokenizer
    double validation = 0;  // the share of documents, chosen by their text's hash, that go to NAME_val
    int64_t shard_tokens = 100'000'000;
    int threads = 0;  // 0: every core
    bool replace = false;
    Format format = Format::automatic;
    OnError on_error = OnError::refuse;  // a document that cannot be read
};
int tokenize_command(const TokenizeArgs& args);

// samples: documents to decode, of each shard; tokenizer: for shards that have none beside them, or empty.
int inspect_command(const std::string& path, const std::string& tokenizer, int64_t samples, bool json);

// A SentencePiece BPE model with byte fallback, that gives back any text to the letter.
struct TrainTokenizerArgs {
    std::vector<std::string> inputs;
    std::string out, text_key = "text";
    int64_t vocab = 4096;
    int64_t megabytes = 100;  // of text read at most, the same of each file
    Format format = Format::automatic;
    OnError on_error = OnError::refuse;
};
int train_tokenizer_command(const TrainTokenizerArgs& args);

}  // namespace sluice
