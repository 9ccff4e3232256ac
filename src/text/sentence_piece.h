// SentencePiece models, encoded by the library SentencePiece.
#pragma once
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace sluice {

// delimiter: the piece that begins documents; empty: the model's bos, else its eos. Errors: Failure(Exit::data).
std::unique_ptr<Tokenizer> open_sentence_piece(const std::string& path, const std::string& delimiter);

}  // namespace sluice
