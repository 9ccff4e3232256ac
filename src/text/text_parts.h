// Splits long texts where the tokenizer allows it (Tokenizer::cut), so that the ids of the parts are those of the
// whole.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sluice {

constexpr size_t kPart = size_t{1} << 20;  // bytes; the usual length of a part

// Where to split a text that begins with `beginning` and continues; 0: nowhere in it, more must be known. tokenizer
// null: after the last line break or, where there is none, after the last character.
size_t cut_of(std::string_view beginning, const Tokenizer* tokenizer);
// The ids of a text, or of a part of one. continues: it is not the first part.
std::vector<int32_t> encode_in_parts(const Tokenizer& tokenizer, std::string_view text, bool continues);

}  // namespace sluice
