#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/check.h"

namespace sluice {
namespace {

// Bytes of a character, by its first byte; 0: begins no character.
size_t length_of(uint8_t first) {
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

// Whether `byte` may be the second one, after `first`. This excludes overlong forms, surrogates and what is above
// U+10FFFF. first 0: whether it may be a later one.
bool may_follow(uint8_t first, uint8_t byte) {
    const uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return byte >= low && byte <= high;
}

}  // namespace

size_t invalid_utf8(std::string_view text, bool more_follows) {
    const size_t n = text.size();
    for (size_t at = 0; at < n;) {
        // Eight bytes of ASCII at once.
        uint64_t eight = 0;
        if (n - at >= 8) std::memcpy(&eight, text.data() + at, 8);
        if (n - at >= 8 && (eight & 0x8080808080808080u) == 0) {
            at += 8;
            continue;
        }
        const auto first = uint8_t(text[at]);
        const size_t length = length_of(first), available = std::min(length, n - at);
        if (length == 0 || (available < length && !more_follows)) return at;
        for (size_t i = 1; i < available; i++)
            if (!may_follow(i == 1 ? first : 0, uint8_t(text[at + i]))) return at;
        at += available;
    }
    return n;
}

void refuse_invalid_utf8(std::string_view text) {
    if (const size_t bad = invalid_utf8(text); bad < text.size())
        fail(Exit::data, "the text is not UTF-8 at byte " + std::to_string(bad));
}

std::string_view whole_characters(std::string_view text) {
    size_t begin = text.size();
    while (begin > 0 && !begins_character(text[begin - 1])) begin--;
    if (begin == 0) return text;
    begin--;
    const bool whole = length_of(uint8_t(text[begin])) <= text.size() - begin;
    return whole ? text : text.substr(0, begin);
}

char32_t character_at(std::string_view text, size_t at) {
    const auto first = uint8_t(text[at]);
    const size_t length = std::max<size_t>(1, length_of(first));
    if (length > text.size() - at) return char32_t(-1);
    if (length == 1) return first;
    char32_t code = first & (0xFF >> (length + 1));
    for (size_t i = 1; i < length; i++) code = code << 6 | (uint8_t(text[at + i]) & 0x3F);
    return code;
}

}  // namespace sluice
