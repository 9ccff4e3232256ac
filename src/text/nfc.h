// Unicode's normal form C.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

std::string nfc(std::string_view text);  // text: UTF-8. Errors: Failure(Exit::data)
// Whether text can be normalised in two parts, of which the second begins with `character`: it joins nothing before it.
bool nfc_begins(char32_t character);

}  // namespace sluice
