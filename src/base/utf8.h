// UTF-8 as Unicode defines it: no overlong forms, no surrogates.
#pragma once
#include <cstddef>
#include <string_view>

namespace sluice {

// Offset of the first byte that begins no valid character; text.size() if there is none. A character that is incomplete
// at the end is invalid, unless more text follows.
size_t invalid_utf8(std::string_view text, bool more_follows = false);
inline bool valid_utf8(std::string_view text) { return invalid_utf8(text) == text.size(); }
void refuse_invalid_utf8(std::string_view text);  // Failure(Exit::data), with the byte's offset
// Valid UTF-8 without the incomplete character at its end, if there is one.
std::string_view whole_characters(std::string_view text);
// The code point that begins at byte `at` of valid text, or -1 where the text ends within it.
char32_t character_at(std::string_view text, size_t at);
constexpr size_t utf8_length(char32_t character) {
    return character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
}
inline bool begins_character(char byte) { return (byte & 0xC0) != 0x80; }

}  // namespace sluice
