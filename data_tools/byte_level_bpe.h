// Hugging Face's tokenizer.json with byte-level BPE, as GPT-2, Llama 3 and Qwen3 have it: text is normalised (NFC or
// not at all), split by patterns, and the bytes of each piece are merged pair by pair, the lowest rank first. Added
// tokens that are not special are found in the text. Special ones are not: no document can forge a delimiter. Errors:
// Failure(Exit::data), naming the file and the part that is not supported or damaged.
#pragma once
#include <memory>
#include <string>

#include "data_tools/tokenizer.h"

namespace sluice {

// delimiter: the token that begins documents; empty: the first there is of <|endoftext|>, <|begin_of_text|>, <s>, </s>.
std::unique_ptr<Tokenizer> open_byte_level_bpe(const std::string& path, const std::string& delimiter);

}  // namespace sluice
