// Where no token of a vocabulary can stand across: there merging, which joins neighbours into tokens, never joins.
#pragma once
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sluice {

class TokensAcross {
 public:
    explicit TokensAcross(const std::vector<std::string_view>& tokens);  // which must outlive this
    // Whether a token stands across text[at], that is, begins before and ends behind it. So it may be, too, where the
    // text's end hides that.
    bool at(std::string_view text, size_t at) const;

 private:
    std::unordered_set<std::string_view> tokens_, beginnings_;
    size_t longest_ = 0;
};

}  // namespace sluice
