// Tokens that are found in a text as they are written, before it is split into words: from left to right, at each place
// the longest.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class AddedTokens {
 public:
    void add(const std::string& content, int32_t id);
    bool has(int32_t id) const;
    // In order: plain(text) between tokens, token(id).
    void split(std::string_view text, const std::function<void(std::string_view)>& plain,
               const std::function<void(int32_t)>& token) const;
    // Of a text that goes on: what certainly stands behind the last token, text[begin, end). Its rest could be part of
    // a token.
    struct Span {
        size_t begin, end;
    };
    Span open_end(std::string_view text) const;

 private:
    const std::pair<std::string, int32_t>* token_at(std::string_view text, size_t at) const;

    std::vector<std::pair<std::string, int32_t>> tokens_;  // the longest first
    std::array<bool, 256> begins_{};
};

}  // namespace sluice
