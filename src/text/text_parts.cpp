#include "text/text_parts.h"

#include "base/utf8.h"

namespace sluice {

size_t cut_of(std::string_view beginning, const Tokenizer* tokenizer) {
    if (tokenizer && tokenizer->takes_any_bytes()) return tokenizer->cut(beginning);
    beginning = whole_characters(beginning);
    if (tokenizer) return tokenizer->cut(beginning);
    const size_t line_break = beginning.rfind('\n');
    return line_break == beginning.npos ? beginning.size() : line_break + 1;
}

std::vector<int32_t> encode_in_parts(const Tokenizer& tokenizer, std::string_view text, bool continues) {
    std::vector<int32_t> ids;
    for (size_t window = kPart; !text.empty();) {
        const size_t cut = 2 * window < text.size() ? cut_of(text.substr(0, window), &tokenizer) : text.size();
        if (cut == 0) {
            window *= 2;
            continue;
        }
        const auto part = text.substr(0, cut);
        const auto some = continues ? tokenizer.encode_rest(part) : tokenizer.encode(part);
        ids.insert(ids.end(), some.begin(), some.end());
        text.remove_prefix(cut);
        continues = true;
        window = kPart;
    }
    return ids;
}

}  // namespace sluice
