// GPT-2's tokenizer as its two files: a vocabulary (encoder.json, vocab.json) and the merges in their order (vocab.bpe,
// merges.txt). Errors: Failure(Exit::data).
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace sluice {

// Text is split by GPT-2's pattern, and <|endoftext|> is the only special token. A vocabulary with tokens that no merge
// makes is of another kind: an error.
std::unique_ptr<Tokenizer> open_gpt2_files(const std::filesystem::path& vocabulary, const std::filesystem::path& merges,
                                           const std::string& delimiter);

}  // namespace sluice
