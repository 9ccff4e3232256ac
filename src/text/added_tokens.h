// Added tokens, which are found literally in a text before it is split into words: from left to right, at each position
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
    // Calls plain(text) for each slice between tokens and token(id) for each token, in order.
    void split(std::string_view text, const std::function<void(std::string_view)>& plain,
               const std::function<void(int32_t)>& token) const;
    // Of a text that continues: text[begin, end) certainly follows the last token and belongs to none. After `end` a
    // token may have begun.
    struct Span {
        size_t begin, end;
    };
    Span open_end(std::string_view text) const;

 private:
    const std::pair<std::string, int32_t>* token_at(std::string_view text, size_t at) const;

    std::vector<std::pair<std::string, int32_t>> tokens_;  // the longest first
    std::array<bool, 256> begins_{};                       // by byte: whether a token begins with it
};

}  // namespace sluice
