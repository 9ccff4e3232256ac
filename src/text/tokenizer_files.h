// The files of a tokenizer. Most are one; GPT-2's kind is two that stand beside each other, a vocabulary and its
// merges: encoder.json with vocab.bpe, or vocab.json with merges.txt (NAME-vocab.json with NAME-merges.txt as well).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

// Of the tokenizer that `name` names, by either file of a pair: the vocabulary, then the merges. One file where the
// other one is not there.
std::vector<std::filesystem::path> tokenizer_files(const std::string& name);

// "bytes", or the hash of the tokenizer's files. Errors: Failure(Exit::data).
std::string fingerprint_of(const std::string& tokenizer);

}  // namespace sluice
