// Hugging Face's tokenizer.json with byte-level BPE, as GPT-2, Llama 3 and Qwen3 have it (text/byte_level_encoder.h).
// Added tokens that are not special are found in the text. Special ones are not: no document can forge a delimiter.
// Errors: Failure(Exit::data), naming the file and what is damaged or not supported.
#pragma once
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace sluice {

// delimiter: the special token that begins documents; empty: the first one of the usual names that exists.
std::unique_ptr<Tokenizer> open_byte_level_bpe(const std::string& path, const std::string& delimiter);

}  // namespace sluice
