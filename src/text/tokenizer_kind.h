// What kind of tokenizer a file holds, by its content.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

enum class TokenizerKind { sentencepiece, tokenizer_json, tiktoken, gpt2_pair };

// Errors: Failure(Exit::data): it is none that is read here; says what it is instead, and what is read.
TokenizerKind tokenizer_kind(const std::filesystem::path& path);
// For a file that tokenizer_kind() took for a SentencePiece model, and that is none.
[[noreturn]] void refuse_tokenizer(const std::filesystem::path& path, const std::string& what_it_is);

}  // namespace sluice
