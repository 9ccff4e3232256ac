#include "text/new_characters.h"

#include <utf8proc.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "cli/terminal.h"
#include "text/pattern.h"

namespace sluice {
namespace {

constexpr char32_t kEnd = 0x110000;  // after the last code point

std::string config_text(uint32_t what) {
    char text[64] = {};
    if (pcre2_config(what, nullptr) >= int(sizeof text) || pcre2_config(what, text) < 0) return "";
    return text;
}

// By code point: whether it is unassigned in PCRE2's Unicode.
const std::vector<bool>& unknown() {
    static const std::vector<bool> known = [] {
        std::vector<bool> unknown(kEnd);
        std::string all;
        std::vector<char32_t> characters;  // by byte of `all`
        for (char32_t c = 0; c < kEnd; c++) {
            if (c >= 0xD800 && c <= 0xDFFF) continue;
            utf8proc_uint8_t text[4];
            const auto n = utf8proc_encode_char(utf8proc_int32_t(c), text);
            all.append(reinterpret_cast<char*>(text), size_t(n));
            characters.resize(all.size(), c);
        }
        Pattern(R"(\p{Cn}+)").each_match(all, [&](size_t begin, size_t end) {
            for (size_t at = begin; at < end; at++) unknown[characters[at]] = true;
        });
        for (char32_t c = 0xFDD0; c < kEnd; c++)  // but noncharacters, which no version will assign
            if (c <= 0xFDEF || (c & 0xFFFE) == 0xFFFE) unknown[c] = false;
        return unknown;
    }();
    return known;
}

}  // namespace

std::string unicode_of_patterns() { return config_text(PCRE2_CONFIG_UNICODE_VERSION); }

bool has_new_characters(std::string_view text) {
    const std::vector<bool>* none = nullptr;
    for (size_t at = 0; at < text.size();) {
        if ((text[at] & 0x80) == 0) {
            at++;
            continue;
        }
        if (!none) none = &unknown();
        utf8proc_int32_t c = 0;
        at += size_t(
            std::max<utf8proc_ssize_t>(1, utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                                           utf8proc_ssize_t(text.size() - at), &c)));
        if (c > 0 && (*none)[size_t(c)]) return true;
    }
    return false;
}

void warn_of_new_characters(std::string_view text) {
    static std::atomic<bool> said{false};
    if (said.load(std::memory_order_relaxed) || !has_new_characters(text)) return;
    if (said.exchange(true)) return;
    print_warning("some of the text has characters that Unicode " + unicode_of_patterns().substr(0, 4) +
                  ", which PCRE2 here knows, does not have: they are split as no letters, and a library with a newer "
                  "Unicode can give other ids for them (said once)");
}

}  // namespace sluice
