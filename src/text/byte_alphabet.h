// How byte-level vocabularies write bytes as text: those that print stand for themselves, the others for the characters
// from U+0100 on. Errors: std::runtime_error.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

std::string from_byte_alphabet(std::string_view text);  // its bytes
std::string to_byte_alphabet(std::string_view bytes);   // UTF-8

}  // namespace sluice
