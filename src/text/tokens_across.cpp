#include "text/tokens_across.h"

#include <algorithm>

namespace sluice {

TokensAcross::TokensAcross(const std::vector<std::string_view>& tokens) : tokens_(tokens.begin(), tokens.end()) {
    for (const std::string_view token : tokens) {
        longest_ = std::max(longest_, token.size());
        for (size_t n = 1; n <= token.size(); n++) prefixes_.insert(token.substr(0, n));
    }
}

bool TokensAcross::at(std::string_view text, size_t at) const {
    // From each offset before `at` from which the longest token reaches beyond it, grow text[begin, end) as long as it
    // is a prefix of some token. One that is a token and ends after `at` spans it.
    for (size_t begin = at; begin-- > at - std::min(at, longest_);) {
        for (size_t end = begin + 1; prefixes_.contains(text.substr(begin, end - begin)); end++) {
            if (end > at && tokens_.contains(text.substr(begin, end - begin))) return true;
            if (end == text.size()) return true;  // more text could complete a token
        }
    }
    return false;
}

}  // namespace sluice
