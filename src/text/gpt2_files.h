// GPT-2's tokenizer as its two files: a vocabulary (encoder.json, vocab.json) and the merges in their order (vocab.bpe,
// merges.txt). Errors: Failure(Exit::data).
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace sluice {

// Text is split as GPT-2 does; <|endoftext|> is the only special token. Vocabularies with tokens that no merge makes
// are of another kind, and refused.
std::unique_ptr<Tokenizer> open_gpt2_files(const std::filesystem::path& vocabulary, const std::filesystem::path& merges,
                                           const std::string& delimiter);

}  // namespace sluice
