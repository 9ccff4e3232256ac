// Finds offsets of a text that no token of a vocabulary can span. BPE only merges neighbours into tokens, so it never
// merges across such an offset, and the text can be split there.
#pragma once
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sluice {

class TokensAcross {
 public:
    explicit TokensAcross(const std::vector<std::string_view>& tokens);  // which must outlive this
    // Whether a token can span offset `at` of text: begin before it and end after it. True, too, where the text ends
    // too early to exclude that.
    bool at(std::string_view text, size_t at) const;

 private:
    std::unordered_set<std::string_view> tokens_, prefixes_;  // prefixes_: of all tokens
    size_t longest_ = 0;                                      // bytes
};

}  // namespace sluice
