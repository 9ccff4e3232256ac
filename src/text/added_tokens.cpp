#include "text/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"

namespace sluice {

void AddedTokens::add(const std::string& content, int32_t id) {
    const auto shorter = [&](const auto& token) { return token.first.size() < content.size(); };
    tokens_.insert(std::find_if(tokens_.begin(), tokens_.end(), shorter), {content, id});
    begins_[uint8_t(content[0])] = true;
}

bool AddedTokens::has(int32_t id) const {
    return std::any_of(tokens_.begin(), tokens_.end(), [&](const auto& token) { return token.second == id; });
}

const std::pair<std::string, int32_t>* AddedTokens::token_at(std::string_view text, size_t at) const {
    if (!begins_[uint8_t(text[at])]) return nullptr;
    const auto found = std::find_if(tokens_.begin(), tokens_.end(), [&](const auto& token) {
        return text.compare(at, token.first.size(), token.first) == 0;
    });
    return found == tokens_.end() ? nullptr : &*found;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& plain,
                        const std::function<void(int32_t)>& token) const {
    size_t from = 0;
    for (size_t at = 0; !tokens_.empty() && at < text.size();) {
        const auto* found = token_at(text, at);
        if (!found) {
            at++;
            continue;
        }
        plain(text.substr(from, at - from));
        token(found->second);
        from = at = at + found->first.size();
    }
    plain(text.substr(from));
}

AddedTokens::Span AddedTokens::open_end(std::string_view text) const {
    if (tokens_.empty()) return {0, text.size()};
    const size_t longest = tokens_[0].first.size();
    size_t end = text.size() - std::min(text.size(), longest - 1);  // a token that begins before it ends in the text
    while (end > 0 && end < text.size() && !begins_character(text[end])) end--;
    Span open{0, end};
    for (size_t at = 0; at < end;) {
        const auto* found = token_at(text, at);
        at += found ? found->first.size() : 1;
        if (found) open.begin = at;
    }
    open.end = std::max(open.end, open.begin);
    return open;
}

}  // namespace sluice
