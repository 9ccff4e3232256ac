// What sluice-data does. Errors: Failure(Exit::data), Failure(Exit::disk).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// Text files in, one document each; token shards NAME_000000.bin ... and tokens.json out. Every document begins with
// the delimiter.
struct TokenizeArgs {
    std::vector<std::string> inputs;  // .txt: a document; .jsonl: a document a line, its key `text`
    std::string tokenizer = "bytes", out, name = "tokens";
    int64_t shard_tokens = 100'000'000;
};
int tokenize_command(const TokenizeArgs& args);

int inspect_command(const std::string& path, bool json);

// A SentencePiece BPE model with byte fallback, that gives back any text to the letter.
struct TrainTokenizerArgs {
    std::vector<std::string> inputs;
    std::string out;
    int64_t vocab = 4096;
};
int train_tokenizer_command(const TrainTokenizerArgs& args);

}  // namespace sluice
