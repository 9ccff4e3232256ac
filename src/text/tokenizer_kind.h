// What kind of tokenizer a file holds, by its content.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

enum class TokenizerKind { sentencepiece, tokenizer_json, tiktoken, gpt2_pair };

// Errors: Failure(Exit::data) for a file of no supported kind. The message says what it is, and which kinds are
// supported.
TokenizerKind tokenizer_kind(const std::filesystem::path& path);
// Fails with such a message; also for a file that tokenizer_kind() took for a SentencePiece model by mistake.
[[noreturn]] void refuse_tokenizer(const std::filesystem::path& path, const std::string& what_it_is);

}  // namespace sluice
