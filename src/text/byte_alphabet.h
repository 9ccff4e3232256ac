// The alphabet in which byte-level vocabularies write bytes: a printable byte is written as itself, any other as a
// character from U+0100 on. Errors: std::runtime_error.
#pragma once
#include <string>
#include <string_view>

namespace sluice {

std::string from_byte_alphabet(std::string_view text);  // the bytes that text stands for
std::string to_byte_alphabet(std::string_view bytes);   // UTF-8

}  // namespace sluice
