#include "text/byte_alphabet.h"

#include <utf8proc.h>

#include <array>
#include <stdexcept>

namespace sluice {
namespace {

constexpr int32_t kCharacters = 512;  // size of a table by code point; fewer are used

struct Alphabet {
    std::array<std::string, 256> characters;
    std::array<int32_t, kCharacters> bytes;

    Alphabet() {
        bytes.fill(-1);
        int32_t next = 256;
        for (int32_t b = 0; b < 256; b++) {
            const bool prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            const int32_t character = prints ? b : next++;
            bytes[size_t(character)] = b;
            utf8proc_uint8_t text[4];
            const auto n = utf8proc_encode_char(character, text);
            characters[size_t(b)].assign(reinterpret_cast<char*>(text), size_t(n));
        }
    }
};

const Alphabet& alphabet() {
    static const Alphabet known;
    return known;
}

}  // namespace

std::string from_byte_alphabet(std::string_view text) {
    std::string bytes;
    for (size_t at = 0; at < text.size();) {
        utf8proc_int32_t c = -1;
        const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                        utf8proc_ssize_t(text.size() - at), &c);
        if (n < 1 || c >= kCharacters || alphabet().bytes[size_t(c)] < 0)
            throw std::runtime_error("token '" + std::string(text) + "' is not made of bytes");
        bytes += char(alphabet().bytes[size_t(c)]);
        at += size_t(n);
    }
    return bytes;
}

std::string to_byte_alphabet(std::string_view bytes) {
    std::string text;
    for (const char b : bytes) text += alphabet().characters[uint8_t(b)];
    return text;
}

}  // namespace sluice
