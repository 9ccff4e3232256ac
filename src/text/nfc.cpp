#include "text/nfc.h"

#include <utf8proc.h>

#include <cstdlib>
#include <unordered_set>

#include "base/check.h"

namespace sluice {
namespace {

constexpr utf8proc_int32_t kCodePoints = 0x110000, kLongestDecomposition = 32;
using Decomposition = utf8proc_int32_t[kLongestDecomposition];

// The canonical decomposition of a code point; returns how many code points it has.
utf8proc_ssize_t decompose(utf8proc_int32_t code, Decomposition& parts) {
    int last_boundclass = 0;
    return utf8proc_decompose_char(code, parts, kLongestDecomposition,
                                   utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &last_boundclass);
}

// The code points that are not the first in some decomposition: only these compose with what is before them.
const std::unordered_set<utf8proc_int32_t>& later_parts() {
    static const auto all = [] {
        std::unordered_set<utf8proc_int32_t> found;
        Decomposition parts;
        for (utf8proc_int32_t code = 0x80; code < kCodePoints; code++)
            for (utf8proc_ssize_t i = 1, n = decompose(code, parts); i < n; i++) found.insert(parts[i]);
        return found;
    }();
    return all;
}

}  // namespace

std::string nfc(std::string_view text) {
    utf8proc_uint8_t* out = nullptr;
    const auto options = utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), utf8proc_ssize_t(text.size()),
                                &out, options);
    if (n < 0) fail(Exit::data, std::string("cannot be normalised: ") + utf8proc_errmsg(n));
    std::string normalised(reinterpret_cast<char*>(out), size_t(n));
    std::free(out);
    return normalised;
}

bool nfc_begins(char32_t character) {
    if (character < 0x80) return true;
    Decomposition parts;
    if (decompose(utf8proc_int32_t(character), parts) < 1) return false;
    return utf8proc_get_property(parts[0])->combining_class == 0 && !later_parts().contains(parts[0]);
}

}  // namespace sluice
