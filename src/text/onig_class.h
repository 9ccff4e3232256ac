// Sets of characters in Oniguruma's syntax, written for PCRE2: classes with their unions and intersections, \s and its
// like, \p{...}. Where the two libraries differ PCRE2 gets what Oniguruma means; what is not known to be equal is
// refused. Part of data_tools/onig_syntax.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Where the parser stands in a pattern (UTF-8). Errors: std::runtime_error, naming the construct and its offset.
struct OnigCursor {
    std::string_view pattern;
    size_t at = 0;

    bool done() const { return at >= pattern.size(); }
    bool sees(std::string_view text) const { return pattern.substr(at, text.size()) == text; }
    bool take(std::string_view text);
    char32_t character();  // one, and on
    // The part of the pattern from `begin` to here, and why it is not taken.
    [[noreturn]] void refuse(size_t begin, const std::string& why) const;
    [[noreturn]] void refuse_next(size_t bytes, const std::string& why) const;  // the part that begins here
};

// Of single characters.
class CharSet {
 public:
    void add(char32_t c) { add(c, c); }
    void add(char32_t first, char32_t last);
    void add(const CharSet& other);
    void add_inside(const std::string& content) { inside_ += content; }  // as between PCRE2's brackets
    void negate() { negated_ = !negated_; }
    bool empty() const { return inside_.empty() && others_.empty(); }
    std::string pattern() const;  // matches one character
    static CharSet intersection(const std::vector<CharSet>& parts);

 private:
    std::string inside_;
    std::vector<std::string> others_;  // patterns of one character each
    bool negated_ = false;
};

// A property, or what stands for one (\s). Where it is folded (a class under (?i)) it is itself, or refused.
struct OnigProperty {
    CharSet set;
    bool folds = true;  // (?i) adds no character to it
};

std::string pcre2_character(char32_t c);  // for inside and outside of classes
OnigProperty word_property(bool in_class);
// \d \s \w \h and their complements; none for other letters.
std::optional<OnigProperty> escaped_property(char letter, bool in_class);
OnigProperty named_property(OnigCursor& cursor, bool in_class);  // from the { of \p{...} on
std::optional<OnigProperty> posix_property(std::string_view name);

// The character that an escape stands for, the cursor on the character behind the backslash; none, and the cursor not
// moved, where it stands for something else.
std::optional<char32_t> escaped_character(OnigCursor& cursor, bool in_class);

// From the character behind '[' to behind its ']'. fold: under (?i).
CharSet parse_class(OnigCursor& cursor, bool fold);
// Whether (?i) means for this character alone what it means to PCRE2.
bool folds_alike(char32_t c);

}  // namespace sluice
