// The commands of sluice-data. Errors: Failure(Exit::data), Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/left_out.h"
#include "documents/content.h"

namespace sluice {

// Reads text files (documents/documents.h) and writes a set of token shards NAME_000000.bin ... (data/shard_set.h), or
// two sets, NAME_train and NAME_val. Every document begins with the delimiter.
struct TokenizeArgs {
    std::vector<std::string> inputs;
    std::string tokenizer = "bytes", out, name = "tokens", text_key = "text";
    std::string delimiter;  // the piece that begins documents; empty: the tokenizer's usual one
    double validation = 0;  // fraction of documents for NAME_val, chosen by the hash of their text
    int64_t shard_tokens = 100'000'000;
    int threads = 0;  // 0: one per core
    bool replace = false;
    Format format = Format::automatic;
    OnError on_error = OnError::refuse;  // what to do with a document that cannot be read
};
int tokenize_command(const TokenizeArgs& args);

// samples: documents to decode per shard. tokenizer: for shards that have none beside them; may be empty.
int inspect_command(const std::string& path, const std::string& tokenizer, int64_t samples, bool json);

// Trains a SentencePiece BPE model with byte fallback. Decoding the ids of a text gives back exactly that text.
struct TrainTokenizerArgs {
    std::vector<std::string> inputs;
    std::string out, text_key = "text";
    int64_t vocab = 4096;
    int64_t megabytes = 100;  // MiB of text to read at most, the same from each file
    Format format = Format::automatic;
    OnError on_error = OnError::refuse;
};
int train_tokenizer_command(const TrainTokenizerArgs& args);

}  // namespace sluice
