// The files of a tokenizer. Most kinds have one file. GPT-2's has two in one folder, a vocabulary and its merges:
// encoder.json with vocab.bpe, or vocab.json with merges.txt (also NAME-vocab.json with NAME-merges.txt).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

// The files of the tokenizer that `name` names. For either file of a pair: the vocabulary, then the merges. Only `name`
// where the other file does not exist.
std::vector<std::filesystem::path> tokenizer_files(const std::string& name);

// "bytes", or the hash of the tokenizer's files. Errors: Failure(Exit::data).
std::string fingerprint_of(const std::string& tokenizer);

}  // namespace sluice
