// Unicode's normal form C.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

std::string nfc(std::string_view text);  // text: UTF-8. Errors: Failure(Exit::data)
// Whether a text can be split before `character` so that both sides can be normalised alone: it composes with nothing
// before it.
bool nfc_begins(char32_t character);

}  // namespace sluice
