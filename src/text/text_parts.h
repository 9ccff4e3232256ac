// Long texts in parts, cut where the tokenizer says (Tokenizer::cut), so that their ids are those of the whole.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace sluice {

constexpr size_t kPart = size_t{1} << 20;  // bytes; a part is about as long

// Where to cut the beginning of a text; 0: nowhere, more of it must be known. tokenizer: null for what only wants
// whole lines, or characters where there are none.
size_t cut_of(std::string_view beginning, const Tokenizer* tokenizer);
// The ids of a text that is known whole, or of one of its parts. continues: it stands behind a cut.
std::vector<int32_t> encode_in_parts(const Tokenizer& tokenizer, std::string_view text, bool continues);

}  // namespace sluice
